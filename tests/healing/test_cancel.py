"""A run is cancelled in each of its stages: ended within a heartbeat, cleared; refused in apply."""

from __future__ import annotations

import psycopg
import pytest

from diskette.core import plan
from diskette.core.plan import Kind
from tests.kills.scene import PATIENCE_SECONDS, Healing
from tests.yard import Yard
from worker.servers import await_condition

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("healing")]

LONG = {
    "dump_application",
    "collect_storage",
    "assemble_archive",
    "verify_archive",
    "extract_archive",
    "load_application",
    "stage_storage",
}
"""Steps that are cancelled in the middle of their work; the others as it begins."""
AFTER = ("apply", "verify_load", "finish")
IN_SUITE = ["dump/dump_application", "dump/assemble_archive", "load/stage_storage"]
STAGES = sorted(
    {
        *(f"dump/{step}" for step in (*plan.ORDER[Kind.DUMP], *plan.BESIDE)),
        *(f"load/{step}" for step in plan.ORDER[Kind.LOAD] if step not in (*AFTER, "safety_dump")),
    }.difference(IN_SUITE)
)
HEARTBEAT_SECONDS = 3
"""A second, on a slow machine, and the clearing."""
USAGE = 2
WAITING = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'blog_tag'::regclass"


def thorough(value: str):
    return pytest.param(value, marks=pytest.mark.thorough)


@pytest.mark.fault("a run is cancelled, in each step")
@pytest.mark.parametrize("stage", [*IN_SUITE, *map(thorough, STAGES)])
def test_cancelled(yard: Yard, healing: Healing, stage: str):
    before, archives = yard.picture(), sorted(yard.site.archives.glob("*.tar"))
    yard.hold(f"{stage}/{'within' if stage.split('/')[1] in LONG else 'before'}")
    run = yard.begin_load() if stage.startswith("load") else yard.begin_dump()
    yard.await_held()
    yard.site.manage("diskette_cancel", run)
    healing.begins()
    end = healing.ends(yard.site, run, within=HEARTBEAT_SECONDS)
    assert end.state == "cancelled", yard.story(run)
    assert yard.picture() == before
    if stage not in ("dump/prune", "dump/finish"):
        assert sorted(yard.site.archives.glob("*.tar")) == archives
    assert yard.left() == []


@pytest.mark.fault("a run is cancelled within one long statement: it waits for a lock")
@pytest.mark.parametrize("kind", ["dump", thorough("load")])
def test_cancelled_within_a_statement(yard: Yard, healing: Healing, kind: str):
    before = yard.picture()
    with psycopg.connect(yard.site.database_url) as somebody:
        somebody.execute("LOCK TABLE blog_tag IN ACCESS EXCLUSIVE MODE")
        run = yard.begin_load() if kind == "load" else yard.begin_dump()
        assert await_condition(lambda: yard.ask(WAITING) != [], seconds=PATIENCE_SECONDS)
        yard.site.manage("diskette_cancel", run)
        healing.begins()
        end = healing.ends(yard.site, run, within=HEARTBEAT_SECONDS)
        assert yard.ask(WAITING) == []
    assert end.state == "cancelled", yard.story(run)
    assert yard.picture() == before
    assert yard.left() == []


@pytest.mark.thorough
@pytest.mark.fault("a run is cancelled while its worker is frozen")
def test_cancelled_while_frozen(yard: Yard, healing: Healing):
    yard.hold("dump/dump_application/within")
    run = yard.begin_dump()
    worker = yard.worker_of(yard.await_held())
    worker.freeze()
    healing.begins()
    yard.site.manage("diskette_cancel", run)
    end = healing.ends(yard.site, run)
    assert end.state == "cancelled", yard.story(run)
    worker.thaw()
    assert yard.left() == []


@pytest.mark.fault("a load is cancelled while it is applied: refused, and finished")
@pytest.mark.parametrize("step", ["apply", *map(thorough, AFTER[1:])])
def test_refused(yard: Yard, healing: Healing, step: str):
    yard.hold(f"load/{step}/before")
    run = yard.begin_load()
    yard.await_held()
    done = yard.site.run("diskette_cancel", run)
    healing.begins()
    assert done.returncode == USAGE
    assert "can only be finished" in done.stderr
    yard.release()
    end = healing.ends(yard.site, run)
    assert end.state == "succeeded", yard.story(run)
    assert yard.picture() == yard.whole
    assert yard.left() == []
