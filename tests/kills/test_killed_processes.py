"""One process of a worker is killed, or all: what it did is found, or done again, or undone.

What a kill of the whole group does in each step: test_kill_each_step.py.
"""

from __future__ import annotations

import os
from signal import SIGKILL

import pytest

from tests.kills.conftest import Original
from tests.kills.scene import (
    Healing,
    at_work,
    await_held,
    begun,
    holding,
    picture,
    worker_of,
)
from tests.leftovers import assert_nothing_left
from worker.sites import Site

pytestmark = pytest.mark.services

DUMP = "dump/dump_application/after"
LOAD = "load/load_application/within"


@pytest.mark.fault("a worker's child is killed (`kill -9`)")
@pytest.mark.parametrize("hold", [DUMP, LOAD])
def test_a_child(site: Site, original: Original, healing: Healing, hold: str):
    assert_heals(site, original, healing, hold, lambda pid, main: os.kill(pid, SIGKILL))


@pytest.mark.fault("a worker's main process is killed")
@pytest.mark.parametrize("hold", [DUMP, LOAD])
def test_the_main_process(site: Site, original: Original, healing: Healing, hold: str):
    assert_heals(site, original, healing, hold, lambda pid, main: os.kill(main, SIGKILL))


@pytest.mark.fault("a whole worker is killed")
@pytest.mark.parametrize("hold", [DUMP, LOAD])
def test_the_whole_group(site: Site, original: Original, healing: Healing, hold: str):
    assert_heals(site, original, healing, hold, lambda pid, main: os.killpg(main, SIGKILL))


def assert_heals(site: Site, original: Original, healing: Healing, hold: str, kill) -> None:
    held_in = holding(site, hold)
    load = ("diskette_load", original.archive.name, "--no-input", "--no-safety-dump")
    with at_work(held_in, "one", "two") as workers:
        run = begun(site, *(load if hold == LOAD else ["diskette_dump"]))
        pid = await_held(site)
        healing.begins()
        kill(pid, worker_of(pid, workers).pid)
        end = healing.ends(site, run)
    assert end.state == "succeeded", end
    assert end.attempts[hold.split("/")[1]] == 2
    assert picture(site) == (original.picture if hold == LOAD else original.harmed)
    assert_nothing_left(site)
