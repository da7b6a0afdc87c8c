"""A deployment to strike at: PostgreSQL and Redis of its own, two workers, a beat that sweeps.

It stands for many tests, so that none waits for workers to start; what one broke, the next finds
mended. The soak throws its faults here, too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import redis
from celery import Celery

from tests import servers
from tests.kills.scene import LEASE_SECONDS, PATIENCE_SECONDS, picture
from tests.leftovers import leftovers
from worker.servers import PostgreSQL, Redis, await_condition, new_directory
from worker.sites import CeleryProcess, Site

WORKERS = ("one", "two")
SWEEP_SECONDS = 1
SCHEDULE = {"sweep": SWEEP_SECONDS, "dump": None, "prune": None, "drill": None}
MANY = 5
STOPPING = " shutdown ("
"""Of what a worker prints as soon as it is told to stop."""
STATE = "SELECT state FROM diskette_run WHERE id = %s"


@dataclass(kw_only=True)
class Yard:
    """`archive` holds what `whole` pictures; the site itself has changed since."""

    site: Site
    postgres: PostgreSQL
    redis: Redis
    archive: Path
    whole: Mapping[str, str]
    processes: dict[str, CeleryProcess] = field(default_factory=dict)
    exits: dict[str, ExitStack] = field(default_factory=dict)

    # -- its processes ------------------------------------------------------------------

    def start(self, name: str, site: Site | None = None) -> None:
        """A worker of that name, or the beat; in place of one that has ended."""
        self.stop(name)
        self.exits[name] = ExitStack()
        self.processes[name] = self.exits[name].enter_context(self._started(name, site))

    def _started(self, name: str, site: Site | None) -> Any:
        site = site or self.site
        if name == "beat":
            return site.beat(words="", DISKETTE_SCHEDULE=json.dumps(SCHEDULE))
        return site.worker(name=name, concurrency=1, words="")

    def stop(self, name: str) -> None:
        """End it in order; nothing happens if it is not there."""
        if exits := self.exits.pop(name, None):
            self.processes.pop(name).thaw_if_alive()
            exits.close()

    def mend(self) -> None:
        """Servers that answer, and both workers and the beat alive and ready."""
        for server in (self.postgres, self.redis):
            server.thaw()
            if not server.is_up:
                server.start()
        for name in (*WORKERS, "beat"):
            if not self.is_at_work(name):
                self.start(name)
        for name in WORKERS:
            self.processes[name].thaw_if_alive()
            self.processes[name].await_printed(" ready.")

    def is_at_work(self, name: str) -> bool:
        """Whether it is there and was not told to stop."""
        process = self.processes.get(name)
        return process is not None and process.is_alive and not process.printed(STOPPING)

    def close(self) -> None:
        for name in list(self.processes):
            self.stop(name)

    def worker_of(self, pid: int) -> CeleryProcess:
        """Whose child that process is."""
        (found,) = [each for each in self.processes.values() if pid in each.children]
        return found

    # -- where a step stops -------------------------------------------------------------

    @property
    def order(self) -> Path:
        return self.site.directory / "order.json"

    def hold(self, hold: str, act: str = "wait", **more: float) -> None:
        """Have a worker stop there (tests/site/holding.py), from now on."""
        held = self.site.directory / f"held-{uuid4().hex[:8]}"
        draft = self.order.with_suffix(".draft")
        draft.write_text(json.dumps({"hold": hold, "act": act, "held": str(held), **more}))
        draft.replace(self.order)

    def hold_nowhere(self) -> None:
        """Let everything pass, also what waits at this moment."""
        if self.order.exists():
            self.release()
        self.hold("")

    @property
    def held(self) -> Path:
        return Path(json.loads(self.order.read_text())["held"])

    def await_held(self) -> int:
        """The pid of the process that has come to where it stops."""
        held = self.held
        assert await_condition(
            lambda: held.exists() and held.read_text(), seconds=PATIENCE_SECONDS
        ), self.logs()
        return int(held.read_text())

    def release(self) -> None:
        self.held.with_suffix(".released").touch()

    # -- runs ---------------------------------------------------------------------------

    def begin(self, *command: str) -> str:
        """The id of a run that workers are asked to do."""
        return self.site.manage(*command, "--enqueue").splitlines()[-1]

    def begin_dump(self) -> str:
        return self.begin("diskette_dump")

    def begin_load(self, archive: Path | None = None) -> str:
        name = (archive or self.archive).name
        return self.begin("diskette_load", name, "--no-input", "--no-safety-dump")

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.site.database_url, autocommit=True) as connection:
            return connection.execute(query, values or None).fetchall()

    def state(self, run: str) -> str:
        return str(self.ask(STATE, run)[0][0])

    def has_ended(self, run: str) -> bool:
        return self.state(run) not in ("pending", "running")

    def await_row(self, query: str, *values: object) -> None:
        """Return as soon as the query finds something."""
        found = await_condition(lambda: self.ask(query, *values) != [], seconds=PATIENCE_SECONDS)
        assert found, self.logs()

    def await_many_sweeps(self) -> None:
        """So many that what is delivered again each second has been, several times."""
        beat = self.processes["beat"].log
        words, before = "Sending due task", beat.read_text().count("Sending due task")
        swept = await_condition(
            lambda: beat.read_text().count(words) > before + MANY, seconds=PATIENCE_SECONDS
        )
        assert swept, self.logs()

    def story(self, run: str) -> str:
        steps = self.ask(
            "SELECT name, subject, state, attempt, lease_until, findings FROM diskette_step"
            " WHERE run_id = %s ORDER BY position",
            run,
        )
        return "\n".join([self.logs(), *map(repr, steps)])

    def logs(self) -> str:
        return "\n".join(
            f"--- {name}\n{each.log.read_text(errors='replace')[-1500:]}"
            for name, each in self.processes.items()
        )

    @contextmanager
    def queue(self) -> Iterator[Celery]:
        """What sends messages as anybody could who reaches the broker, and gives up in time."""
        with Celery("anybody", broker=self.site.broker_url, set_as_current=False) as app:
            app.conf.broker_transport_options = {"socket_timeout": 2, "max_retries": 1}
            yield app

    def lose_messages(self) -> None:
        """All that wait in the broker. Raises redis.RedisError where that does not answer."""
        with self._broker() as client:
            client.flushall()

    def await_unread(self) -> None:
        """Until the broker sends the next message to nobody, now that all workers are frozen.

        One that asked before is sent it, and has it when it is woken up.
        """
        with self._broker() as client:
            assert await_condition(
                lambda: client.info("clients")["blocked_clients"] == 0, seconds=PATIENCE_SECONDS
            )

    def _broker(self) -> redis.Redis:
        options = {"socket_timeout": 2, "socket_connect_timeout": 2}
        return redis.Redis.from_url(self.site.broker_url, **options)

    # -- what it holds ------------------------------------------------------------------

    def harm(self) -> None:
        """Change rows and files, to be told from the archive's and from before."""
        with psycopg.connect(self.site.database_url, autocommit=True) as connection:
            connection.execute("UPDATE auth_user SET first_name = left(md5(random()::text), 9)")
        (self.site.media / f"{uuid4().hex}.txt").write_text("not in the archive")

    def picture(self) -> Mapping[str, str]:
        return picture(self.site)

    def left(self) -> list[str]:
        """What no run may leave, though workers and beat go on."""
        return leftovers(self.site, besides=[each.pid for each in self.processes.values()])


@contextmanager
def opened(**variables: str) -> Iterator[Yard]:
    """A yard at work, and nothing of it afterwards. `variables`: more of its environment."""
    directory = new_directory("yard-", servers.directory())
    with servers.private_postgres() as postgres, servers.private_redis(append_only=True) as redis:
        yard = _filled(directory, postgres, redis, variables)
        try:
            yard.mend()
            yield yard
        finally:
            yard.close()
    shutil.rmtree(directory, ignore_errors=True)


def _filled(
    directory: Path, postgres: PostgreSQL, redis: Redis, variables: Mapping[str, str]
) -> Yard:
    site = Site(directory=directory, database_url=postgres.url, broker_url=redis.url)
    site.manage("migrate", "-v0")
    site.manage("sample_fill")
    archive = Path(site.manage("diskette_dump").splitlines()[-1])
    variables = {
        **variables,
        "DISKETTE_LEASE_SECONDS": str(LEASE_SECONDS),
        "DISKETTE_TEST_ORDER": str(directory / "order.json"),
        "CELERY_SHUTDOWN_SECONDS": "1",
    }
    yard = Yard(
        site=replace(site, celery_app="tests.site.holding", variables=variables),
        postgres=postgres,
        redis=redis,
        archive=archive,
        whole=picture(site),
    )
    yard.hold_nowhere()
    yard.harm()
    return yard
