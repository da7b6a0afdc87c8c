"""A step takes too long, or too much memory, for what its worker or its machine allows."""

from __future__ import annotations

import pytest

from tests.kills.scene import Healing, with_celery
from tests.yard import WORKERS, Yard

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("healing")]

ATTEMPTS_SECONDS = 20
"""Three attempts, each but the first after a pause."""
RUN_SECONDS = 8
MANY_PROCESSES_SECONDS = 60
FIRST_STEP = "SELECT id FROM diskette_step WHERE run_id = %s AND name = 'check_space'"


def begun_with(yard: Yard, **limits: float) -> str:
    """A dump whose first step's message has limits of its own."""
    for name in WORKERS:
        yard.processes[name].freeze()
    yard.await_unread()
    run = yard.begin_dump()
    yard.lose_messages()
    ((step,),) = yard.ask(FIRST_STEP, run)
    with yard.queue() as app:
        app.send_task("diskette.check_space", (str(step),), queue="diskette", **limits)
    for name in WORKERS:
        yard.processes[name].thaw()
    return run


@pytest.mark.fault("a step exceeds the soft time limit")
def test_the_soft_time_limit(yard: Yard, healing: Healing):
    yard.hold("dump/check_space/before")
    run = begun_with(yard, soft_time_limit=1, ignore_result=True)
    healing.begins()
    end = healing.ends(yard.site, run)
    assert (end.state, end.codes) == ("failed", ["time-limit"]), yard.story(run)
    assert yard.left() == []


@pytest.mark.fault("a step exceeds the hard time limit, once")
def test_the_hard_time_limit(yard: Yard, healing: Healing):
    yard.hold("dump/check_space/before", "stall")
    run = begun_with(yard, soft_time_limit=1, time_limit=2, ignore_result=True)
    healing.begins()
    end = healing.ends(yard.site, run)
    assert end.state == "succeeded", yard.story(run)
    assert end.attempts["check_space"] == 2
    assert yard.left() == []


@pytest.mark.thorough
@pytest.mark.fault("each process that does a step is killed, as for want of memory")
def test_killed_each_time(yard: Yard, healing: Healing):
    yard.hold("dump/dump_application/within", "die")
    run = yard.begin_dump()
    healing.begins()
    end = healing.ends(yard.site, run, within=ATTEMPTS_SECONDS)
    assert (end.state, set(end.codes)) == ("failed", {"lease-lost"}), yard.story(run)
    assert end.attempts["dump_application"] == 3
    assert yard.left() == []


@pytest.mark.fault("a step asks for more memory than its process may have")
def test_no_memory(yard: Yard, healing: Healing):
    yard.hold("dump/dump_application/within", "gorge")
    run = yard.begin_dump()
    healing.begins()
    end = healing.ends(yard.site, run)
    assert (end.state, set(end.codes)) == ("failed", {"no-memory"}), yard.story(run)
    assert yard.left() == []


@pytest.mark.thorough
@pytest.mark.fault("every step's process is replaced after it (`worker_max_memory_per_child`)")
def test_the_limit_of_memory_per_child(yard: Yard, healing: Healing):
    for name in ("one", "beat"):
        yard.stop(name)  # each task costs a process, also the beat's
    yard.start("two", with_celery(yard.site, worker_max_memory_per_child=1))
    run = yard.begin_dump()
    healing.begins()
    end = healing.ends(yard.site, run, within=MANY_PROCESSES_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert set(end.attempts.values()) == {1}
    yard.stop("two")
    assert yard.left() == []


@pytest.mark.thorough
@pytest.mark.fault("a step takes longer than the broker's visibility timeout")
def test_the_visibility_timeout(yard: Yard, healing: Healing):
    options = {
        "visibility_timeout": 1,
        "unacked_restore_interval": 0.5,
        "unacked_restore_throttle": 1,
    }
    hurried = with_celery(yard.site, broker_transport_options=options, visibility_timeout=1)
    for name in WORKERS:
        yard.start(name, hurried)
    yard.hold("dump/dump_application/within")
    run = yard.begin_dump()
    yard.await_held()
    healing.begins()
    yard.await_many_sweeps()
    yard.release()
    end = healing.ends(yard.site, run, within=3 * RUN_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert set(end.attempts.values()) == {1}
    for name in WORKERS:
        yard.stop(name)
    assert yard.left() == []
