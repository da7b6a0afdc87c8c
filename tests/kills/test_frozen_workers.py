"""A worker that is frozen past its lease wakes up when another has done its step.

The old copy goes on where it stopped, at once and without a look at its heartbeat, and must not
change a thing.
"""

from __future__ import annotations

import pytest

from tests.kills.conftest import Original
from tests.kills.scene import (
    Healing,
    at_work,
    await_held,
    begun,
    holding,
    picture,
    release,
    worker_of,
)
from tests.leftovers import assert_nothing_left
from worker.sites import Site

pytestmark = pytest.mark.services

TAKEN = "was taken from this process"
DUMP = ["dump_application/within", "assemble_archive/after", "publish_archive/before"]
LOAD = ["load_application/within", "check_integrity/after", "stage_storage/within", "apply/after"]


def woken_late(site: Site, healing: Healing, hold: str, *command: str):
    """Freeze a worker in that step, wake it when the run has ended, await what it says."""
    held_in = holding(site, hold)
    with at_work(held_in, "one", "two") as workers:
        run = begun(site, *command)
        worker = worker_of(await_held(site), workers)
        healing.begins()
        worker.freeze()
        end = healing.ends(site, run)
        before = picture(site), sorted(site.archives.iterdir())
        release(site)
        worker.thaw()
        worker.await_printed(TAKEN)
    assert (picture(site), sorted(site.archives.iterdir())) == before
    assert_nothing_left(site)
    return end


@pytest.mark.fault("a dump's worker is frozen (SIGSTOP) past its lease, and woken")
@pytest.mark.parametrize("hold", DUMP)
def test_a_dump(site: Site, healing: Healing, hold: str):
    end = woken_late(site, healing, f"dump/{hold}", "diskette_dump")
    assert end.state == "succeeded", end
    assert end.attempts[hold.split("/", maxsplit=1)[0]] == 2
    assert len(list(site.archives.glob("*.tar"))) == 2


@pytest.mark.fault("a worker is frozen within its heartbeat, whose locks every sweep waits for")
def test_in_the_heartbeat(site: Site, healing: Healing):
    end = woken_late(site, healing, "dump/dump_application/beat", "diskette_dump")
    assert end.state == "succeeded", end
    assert end.attempts["dump_application"] == 2


@pytest.mark.fault("a load's worker is frozen past its lease, and woken")
@pytest.mark.parametrize("hold", LOAD)
def test_a_load(site: Site, original: Original, healing: Healing, hold: str):
    load = ("diskette_load", original.archive.name, "--no-input", "--no-safety-dump")
    end = woken_late(site, healing, f"load/{hold}", *load)
    assert end.state == "succeeded", end
    assert end.attempts[hold.split("/", maxsplit=1)[0]] == 2
    assert picture(site) == original.picture


@pytest.mark.fault("a load's worker is frozen with the rows half replaced, and woken")
def test_a_load_in_the_middle_of_its_transaction(site: Site, original: Original, healing: Healing):
    load = ("diskette_load", original.archive.name, "--no-input", "--no-safety-dump")
    end = woken_late(site, healing, "load/apply/within", *load)
    assert (end.state, end.codes) == ("failed", ["lease-lost"])
    assert picture(site) == original.harmed
