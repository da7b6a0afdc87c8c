"""A worker that is frozen past its lease wakes up when another has done its step.

The old copy goes on where it stopped, at once and without a look at its heartbeat, and must not
change a thing.
"""

from __future__ import annotations

import pytest

from tests.kills.scene import PATIENCE_SECONDS, Ended, Healing
from tests.yard import Yard
from worker.servers import await_condition

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("healing")]

TAKEN = "was taken from this process"
DUMP = [
    "dump_application/within",
    pytest.param("assemble_archive/after", marks=pytest.mark.thorough),
    pytest.param("publish_archive/before", marks=pytest.mark.thorough),
]
LOAD = [
    "stage_storage/within",
    pytest.param("load_application/within", marks=pytest.mark.thorough),
    pytest.param("check_integrity/after", marks=pytest.mark.thorough),
    pytest.param("apply/after", marks=pytest.mark.thorough),
]


def woken_late(yard: Yard, healing: Healing, hold: str) -> Ended:
    """Freeze a worker in that step, wake it when the run has ended, await what it says."""
    yard.hold(hold)
    run = yard.begin_load() if hold.startswith("load/") else yard.begin_dump()
    worker = yard.worker_of(yard.await_held())
    healing.begins()
    worker.freeze()
    end = healing.ends(yard.site, run)
    before = yard.picture(), sorted(yard.site.archives.iterdir())
    said = worker.log.read_text().count(TAKEN)
    yard.release()
    worker.thaw()
    assert await_condition(
        lambda: worker.log.read_text().count(TAKEN) > said, seconds=PATIENCE_SECONDS
    ), yard.story(run)
    assert yard.left() == []
    assert (yard.picture(), sorted(yard.site.archives.iterdir())) == before
    return end


@pytest.mark.fault("a dump's worker is frozen (SIGSTOP) past its lease, and woken")
@pytest.mark.parametrize("hold", DUMP)
def test_a_dump(yard: Yard, healing: Healing, hold: str):
    archives = len(list(yard.site.archives.glob("*.tar")))
    end = woken_late(yard, healing, f"dump/{hold}")
    assert end.state == "succeeded", end
    assert end.attempts[hold.split("/", maxsplit=1)[0]] == 2
    assert len(list(yard.site.archives.glob("*.tar"))) == archives + 1


@pytest.mark.fault("a worker is frozen within its heartbeat, whose locks every sweep waits for")
def test_in_the_heartbeat(yard: Yard, healing: Healing):
    end = woken_late(yard, healing, "dump/dump_application/beat")
    assert end.state == "succeeded", end
    assert end.attempts["dump_application"] == 2


@pytest.mark.fault("a load's worker is frozen past its lease, and woken")
@pytest.mark.parametrize("hold", LOAD)
def test_a_load(yard: Yard, healing: Healing, hold: str):
    end = woken_late(yard, healing, f"load/{hold}")
    assert end.state == "succeeded", end
    assert end.attempts[hold.split("/", maxsplit=1)[0]] == 2
    assert yard.picture() == yard.whole


@pytest.mark.fault("a load's worker is frozen with the rows half replaced, and woken")
def test_a_load_in_the_middle_of_its_transaction(yard: Yard, healing: Healing):
    before = yard.picture()
    end = woken_late(yard, healing, "load/apply/within")
    assert (end.state, end.codes) == ("failed", ["lease-lost"])
    assert yard.picture() == before
