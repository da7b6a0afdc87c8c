"""Redis or the database is away in the middle of a run, and comes back."""

from __future__ import annotations

import threading

import pytest

from tests.kills.scene import LEASE_SECONDS, Healing
from tests.yard import Yard

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("healing")]

AWAY_SECONDS = 10
RUN_SECONDS = 8
"""What the run itself takes, on a slow machine."""
RECONNECT_SECONDS = 12
"""A worker looks for its broker again after 2, 4 and 6 seconds."""
STEP_DONE = (
    "SELECT 1 FROM diskette_step"
    " WHERE run_id = %s AND name = 'open_snapshot' AND state = 'succeeded'"
)


def held_dump(yard: Yard) -> str:
    yard.hold("dump/open_snapshot/after")
    run = yard.begin_dump()
    yard.await_held()
    return run


@pytest.mark.fault("Redis is killed, and starts again when a step is done")
def test_redis_is_killed(yard: Yard, healing: Healing):
    run = held_dump(yard)
    yard.redis.kill()
    release_and_await_done(yard, run)
    yard.redis.start()
    healing.begins()
    end = healing.ends(yard.site, run, within=LEASE_SECONDS + RECONNECT_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert set(end.attempts.values()) == {1}
    assert yard.left() == []


@pytest.mark.fault("Redis is frozen, and wakes up when a step is done")
def test_redis_is_frozen(yard: Yard, healing: Healing):
    run = held_dump(yard)
    yard.redis.freeze()
    release_and_await_done(yard, run)
    yard.redis.thaw()
    healing.begins()
    end = healing.ends(yard.site, run, within=RUN_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert set(end.attempts.values()) == {1}
    assert yard.left() == []


def release_and_await_done(yard: Yard, run: str) -> None:
    yard.release()
    yard.await_row(STEP_DONE, run)


@pytest.mark.fault("the database is away for ten seconds, twice the lease")
@pytest.mark.parametrize(
    "hold",
    [
        "dump/dump_application/within",
        pytest.param("load/load_application/within", marks=pytest.mark.thorough),
        pytest.param("load/apply/after", marks=pytest.mark.thorough),
    ],
)
def test_the_database_is_away(yard: Yard, healing: Healing, hold: str):
    away_in(yard, healing, hold)


@pytest.mark.fault("the database is away for longer than a step waits for it")
@pytest.mark.parametrize(
    "hold",
    ["load/apply/after", pytest.param("dump/assemble_archive/after", marks=pytest.mark.thorough)],
)
def test_the_database_is_away_for_long(yard: Yard, healing: Healing, hold: str):
    away_in(yard, healing, hold, outage=2)


def away_in(yard: Yard, healing: Healing, hold: str, **order: float) -> None:
    before = yard.picture()
    yard.hold(hold, **order)
    run = yard.begin_load() if hold.startswith("load") else yard.begin_dump()
    yard.await_held()
    yard.postgres.stop()
    yard.release()
    threading.Event().wait(AWAY_SECONDS)
    yard.postgres.start()
    healing.begins()
    end = healing.ends(yard.site, run, within=LEASE_SECONDS + RUN_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert yard.picture() == (yard.whole if hold.startswith("load") else before)
    assert yard.left() == []
