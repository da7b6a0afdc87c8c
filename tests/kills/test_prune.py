"""Archives that are no longer kept go by name: beat asks for it, a worker removes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from worker.servers import await_condition
from worker.sites import Site

pytestmark = pytest.mark.services


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


def exists(path: str) -> bool:
    return Path(path).exists()
