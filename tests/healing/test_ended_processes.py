"""One process of a worker is ended, or all, gently or not: the run goes on with another worker.

What a kill of the whole group does in each step: tests/kills/test_kill_each_step.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from signal import SIGKILL, SIGQUIT, SIGTERM

import pytest

from tests.kills.scene import Ended, Healing
from tests.yard import Yard
from worker.sites import CeleryProcess

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("healing")]

DUMP = "dump/dump_application/after"
LOAD = "load/load_application/within"
BOTH = pytest.mark.parametrize("hold", [DUMP, pytest.param(LOAD, marks=pytest.mark.thorough)])

Strike = Callable[[int, CeleryProcess], None]
"""Given the pid of the child at work and its worker."""


def struck(yard: Yard, healing: Healing, hold: str, strike: Strike) -> Ended:
    """What came of a run whose worker was struck in that step. It left nothing."""
    before = yard.picture()
    yard.hold(hold)
    run = yard.begin_load() if hold == LOAD else yard.begin_dump()
    pid = yard.await_held()
    healing.begins()
    strike(pid, yard.worker_of(pid))
    end = healing.ends(yard.site, run)
    assert end.state == "succeeded", yard.story(run)
    assert yard.picture() == (yard.whole if hold == LOAD else before)
    assert yard.left() == []
    return end


@pytest.mark.fault("a worker's child is killed (`kill -9`, or for want of memory)")
@BOTH
def test_a_killed_child(yard: Yard, healing: Healing, hold: str):
    end = struck(yard, healing, hold, lambda pid, worker: os.kill(pid, SIGKILL))
    assert end.attempts[hold.split("/")[1]] == 2


@pytest.mark.fault("a worker's main process is killed")
@BOTH
def test_a_killed_main_process(yard: Yard, healing: Healing, hold: str):
    end = struck(yard, healing, hold, lambda pid, worker: os.kill(worker.pid, SIGKILL))
    assert end.attempts[hold.split("/")[1]] == 2


@pytest.mark.thorough
@pytest.mark.fault("a whole worker is killed")
@pytest.mark.parametrize("hold", [DUMP, LOAD])
def test_a_killed_group(yard: Yard, healing: Healing, hold: str):
    end = struck(yard, healing, hold, lambda pid, worker: worker.kill())
    assert end.attempts[hold.split("/")[1]] == 2


@pytest.mark.fault("a worker is told to stop (SIGTERM): it ends its step first")
def test_a_stopped_worker(yard: Yard, healing: Healing):
    def stop(pid: int, worker: CeleryProcess) -> None:
        worker.process.send_signal(SIGTERM)
        yard.release()

    end = struck(yard, healing, DUMP, stop)
    assert set(end.attempts.values()) == {1}


@pytest.mark.fault("a worker and its children are told to stop at once (SIGTERM to the group)")
@BOTH
def test_a_stopped_group(yard: Yard, healing: Healing, hold: str):
    struck(yard, healing, hold, lambda pid, worker: os.killpg(worker.pid, SIGTERM))


@pytest.mark.fault("a worker is told to stop at once (SIGQUIT)")
@pytest.mark.parametrize("hold", [LOAD, pytest.param(DUMP, marks=pytest.mark.thorough)])
def test_a_quit_worker(yard: Yard, healing: Healing, hold: str):
    end = struck(yard, healing, hold, lambda pid, worker: worker.process.send_signal(SIGQUIT))
    assert end.attempts[hold.split("/")[1]] == 2
