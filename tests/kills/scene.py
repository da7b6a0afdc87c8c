"""What the tests of faults share: workers and a beat at work, and how a run came out of it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from worker import comparison
from worker.servers import await_condition
from worker.sites import CeleryProcess, Site

LEASE_SECONDS = 5
SWEEP_SECONDS = 2
SLACK_SECONDS = 8
"""For a message, a look at the clock and a slow machine, on top of a lease and a sweep."""
PATIENCE_SECONDS = 90.0

OF_RUN = "SELECT state, kind, archive, findings, finished_at FROM diskette_run WHERE id = %s"
OF_STEPS = (
    "SELECT name, attempt, started_at, findings FROM diskette_step WHERE run_id = %s"
    " ORDER BY position, subject"
)


def holding(site: Site, hold: str, act: str = "wait", **variables: str) -> Site:
    """The site with processes that stop in a step, as tests/site/holding.py says."""
    more = {"DISKETTE_TEST_HOLD": hold, "DISKETTE_TEST_ACT": act, **variables}
    return dataclasses.replace(
        site, celery_app="tests.site.holding", variables={**site.variables, **more}
    )


def with_celery(site: Site, **settings: object) -> Site:
    """The site with more of Celery's settings."""
    variables = {**site.variables, "DISKETTE_TEST_CELERY": json.dumps(settings)}
    return dataclasses.replace(site, variables=variables)


@contextmanager
def at_work(site: Site, *names: str, concurrency: int = 1) -> Iterator[dict[str, CeleryProcess]]:
    """Workers of these names beside a beat that sweeps, all of them ready."""
    schedule = json.dumps({"sweep": SWEEP_SECONDS, "dump": None, "prune": None})
    with ExitStack() as started:
        workers = {
            name: started.enter_context(site.worker(name=name, concurrency=concurrency, words=""))
            for name in names
        }
        started.enter_context(site.beat(words="", DISKETTE_SCHEDULE=schedule))
        for worker in workers.values():
            worker.await_printed(" ready.")
        yield workers


def begun(site: Site, *command: str) -> str:
    """The id of a run that workers are asked to do."""
    return site.manage(*command, "--enqueue").splitlines()[-1]


def await_held(site: Site) -> int:
    """The pid of the process that has come to where it stops."""
    held = Path(site.variables["DISKETTE_TEST_HELD"])
    assert await_condition(lambda: held.exists() and held.read_text(), seconds=PATIENCE_SECONDS)
    return int(held.read_text())


def release(site: Site) -> None:
    Path(site.variables["DISKETTE_TEST_HELD"]).with_suffix(".released").touch()


def worker_of(pid: int, workers: Mapping[str, CeleryProcess]) -> CeleryProcess:
    """Whose child that process is."""
    (found,) = [worker for worker in workers.values() if pid in worker.children]
    return found


def picture(site: Site) -> dict[str, str]:
    """A line for each table and file."""
    return comparison.picture(comparison.read(site.side))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run came out."""

    state: str
    kind: str
    archive: Path
    codes: list[str]
    attempts: dict[str, int]
    """By name of step, the most that one of them took."""

    def __str__(self) -> str:
        why = f" ({', '.join(dict.fromkeys(self.codes))})" if self.state == "failed" else ""
        return f"{self.kind} {self.state}{why}"


def ended(site: Site, run: str) -> Ended:
    """Wait until the run has ended. Fails where it does not."""
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        look = connection.cursor
        assert await_condition(
            lambda: look().execute(OF_RUN, [run]).fetchone()[-1] is not None,
            seconds=PATIENCE_SECONDS,
        ), look().execute(OF_STEPS, [run]).fetchall()
        state, kind, archive, findings, _ = look().execute(OF_RUN, [run]).fetchone()
        steps = look().execute(OF_STEPS, [run]).fetchall()
    found = [*findings, *(finding for *_, found in steps for finding in found)]
    attempts: dict[str, int] = {}
    for name, attempt, *_ in steps:
        attempts[name] = max(attempt, attempts.get(name, 0))
    return Ended(
        state=state,
        kind=kind,
        archive=Path(archive),
        codes=[each["code"] for each in found if each["severity"] != "info"],
        attempts=attempts,
    )


def healed_at(site: Site, run: str, *, since: float) -> float:
    """When a step was taken once more, or else the run ended, in seconds since the epoch."""
    with psycopg.connect(site.database_url) as connection:
        steps = connection.execute(OF_STEPS, [run]).fetchall()
        (*_, finished_at) = connection.execute(OF_RUN, [run]).fetchone()
    again = [at.timestamp() for _, attempt, at, _ in steps if attempt > 1]
    return min([at for at in again if at > since] or [finished_at.timestamp()])


@dataclass
class Healing:
    """Tells how long it took from a fault until the run went on or ended: `healing.begins()`.

    What it tells stands in docs/reliability.md: `make faults` makes that table.
    """

    record: Callable[[str, Any], None]
    struck: float = field(default_factory=time.time)

    def begins(self) -> None:
        """The fault strikes at this moment; one that lasts a while, ends."""
        self.struck = time.time()

    def ends(self, site: Site, run: str, *, within: float = LEASE_SECONDS) -> Ended:
        """Wait for the run's end, and require that it was healed within that and a sweep."""
        came_out = ended(site, run)
        seconds = healed_at(site, run, since=self.struck) - self.struck
        self.record("healed", [round(seconds, 1), str(came_out)])
        assert seconds < within + SWEEP_SECONDS + SLACK_SECONDS
        return came_out

    def told(self, outcome: str) -> None:
        """Whoever waited has been told at this moment how it came out."""
        self.record("healed", [round(time.time() - self.struck, 1), outcome])
