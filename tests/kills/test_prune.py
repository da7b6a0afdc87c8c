"""Archives that are no longer kept go by name: beat asks for it, a worker removes them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import pytest

from worker.servers import await_condition
from worker.sites import Site

pytestmark = pytest.mark.services

CUT_OFF = """
import os, signal
from django.core.management import call_command
from diskette.steps import prune

remove = prune._remove

def killed_after_the_first(*given, **named):
    remove(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)

prune._remove = killed_after_the_first
call_command("diskette_prune", "--no-input", "--keep-last", "1")
"""


def test_beat_has_a_worker_remove_what_is_no_longer_kept(site: Site):
    dumped = [site.manage("diskette_dump", "--no-storages").splitlines()[-1] for _ in range(2)]
    site = replace(
        site,
        variables={**site.variables, "DISKETTE_RETENTION": json.dumps({"last": 1})},
    )
    schedule = json.dumps({"dump": None, "prune": 2})
    with site.worker(), site.beat(DISKETTE_SCHEDULE=schedule):
        assert await_condition(lambda: not exists(dumped[0]), seconds=60)
    assert exists(dumped[1])
    runs = json.loads(site.manage("diskette_status", "--format", "json"))
    assert ("prune", "succeeded") in {(run["kind"], run["state"]) for run in runs}


def test_what_a_prune_that_was_killed_leaves_is_whole_and_the_next_goes_on(sites):
    site = sites.make(engine="sqlite", filled=False, DISKETTE_LEASE_SECONDS="2")
    first = Path(site.manage("diskette_dump", "--no-storages").splitlines()[-1])
    for copy in ("2", "3"):
        shutil.copy2(first, first.with_stem(f"{first.stem}-{copy}"))

    assert site.run("shell", "-v0", "-c", CUT_OFF).returncode == -SIGKILL
    assert len(list(site.archives.glob("*.tar"))) == 2
    assert site.manage("diskette_verify", "--all").count("whole") == 2

    def goes_on() -> bool:
        return site.run("diskette_prune", "--no-input", "--keep-last", "1").returncode == 0

    assert await_condition(goes_on, seconds=30)
    assert len(list(site.archives.glob("*.tar"))) == 1
    assert [path.name for path in site.archives.iterdir() if path.name.endswith(".partial")] == []


def exists(path: str) -> bool:
    return Path(path).exists()
