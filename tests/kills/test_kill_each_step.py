"""`kill -9` of a worker in each step: the run succeeds after all, or fails with nothing changed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from diskette.core import plan
from diskette.core.plan import Kind
from tests.kills.conftest import Original
from tests.kills.scene import Healing
from tests.leftovers import assert_nothing_left
from worker.servers import await_condition
from worker.sites import Site

pytestmark = pytest.mark.services

# Killed with its work done but not yet reported: what it did has to be found or done again.
DUMP_STEPS = [(step, "after") for step in (*plan.ORDER[Kind.DUMP], *plan.BESIDE)]
LOAD_STEPS = [(step, "after") for step in plan.ORDER[Kind.LOAD]]
PATIENCE_SECONDS = 90.0


def killed_in(site: Site, healing: Healing, hold: str, *command: str) -> dict:
    """Kill the worker in that step, start another one, and return the result of the ended run."""
    holding = dataclasses.replace(
        site,
        celery_app="tests.site.holding",
        variables={**site.variables, "DISKETTE_TEST_HOLD": hold},
    )
    held = Path(site.variables["DISKETTE_TEST_HELD"])
    with holding.worker(name="first") as worker:
        run = site.manage(*command, "--enqueue").splitlines()[-1]
        assert await_condition(held.exists, seconds=PATIENCE_SECONDS), worker.log.read_text()
        worker.kill()
    healing.begins()
    with site.worker(name="second"):
        done = site.run("diskette_status", run, "--follow", "--format", "json")
    result: dict = json.loads(done.stdout)
    codes = [finding["code"] for finding in result["findings"]]
    why = f" ({', '.join(codes)})" if result["state"] == "failed" else ""
    healing.told(f"{result['kind']} {result['state']}{why}")
    return result


def picture(site: Site) -> dict:
    return json.loads(site.manage("sample_picture"))


@pytest.mark.fault("a dump's worker is killed, in every step")
@pytest.mark.parametrize(("step", "moment"), [*DUMP_STEPS, ("publish_archive", "before")])
def test_a_dump_whose_worker_is_killed_succeeds_after_all(
    site: Site, original: Original, healing: Healing, step: str, moment: str
):
    result = killed_in(site, healing, f"dump/{step}/{moment}", "diskette_dump")
    assert result["state"] == "succeeded", result["findings"]
    assert any(each["attempt"] == 2 for each in result["results"] if each["step"] == step)
    assert Path(result["archive"]).exists()
    assert len(list(site.archives.glob("*.tar"))) == 2
    assert_nothing_left(site)
    assert picture(site) == original.harmed


@pytest.mark.fault("a load's worker is killed, in every step")
@pytest.mark.parametrize(("step", "moment"), [*LOAD_STEPS, ("apply", "before")])
def test_a_load_whose_worker_is_killed_is_all_or_nothing(
    site: Site, original: Original, healing: Healing, step: str, moment: str
):
    load = ("diskette_load", original.archive.name, "--no-input")
    result = killed_in(site, healing, f"load/{step}/{moment}", *load)
    if (step, moment) == ("apply", "before"):
        assert result["state"] == "failed"
        assert [finding["code"] for finding in result["findings"]] == ["lease-lost"]
        assert picture(site) == original.harmed
    else:
        assert result["state"] == "succeeded", result["findings"]
        assert picture(site) == original.picture
    assert (site.archives / original.archive.name).exists()
    assert_nothing_left(site)
