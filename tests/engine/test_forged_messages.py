"""Messages that anybody may have written, on a real broker, for a real worker."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from celery import Celery

from worker.servers import await_condition
from worker.sites import CeleryProcess, Site

pytestmark = pytest.mark.services

DUMPS = "diskette"


@pytest.fixture(scope="module")
def attacked(sites) -> Site:
    """A site with an archive, changed since; a copy of the archive lies elsewhere, and a link."""
    site = sites.make(engine="sqlite")
    archive = Path(site.manage("diskette_dump").splitlines()[-1])
    (site.directory / "elsewhere.tar").write_bytes(archive.read_bytes())
    (archive.parent / "link.tar").symlink_to(site.directory / "elsewhere.tar")
    (archive.parent / ".hidden.tar").write_bytes(archive.read_bytes())
    site.manage("sample_harm")
    return site


@contextmanager
def obeying(site: Site, broker: str, **variables: str) -> Iterator[tuple[CeleryProcess, Celery]]:
    """Its worker for everything but loads, and an application that can write to the broker."""
    site = replace(site, broker_url=broker, variables={**site.variables, **variables})
    with site.worker("celery", DUMPS) as worker, Celery(broker=broker) as attacker:
        # The worker's own first sweep is no answer to what follows.
        worker.await_printed("diskette.sweep")
        yield worker, attacker


def told(worker: CeleryProcess, words: str, times: int) -> bool:
    def count() -> int:
        return worker.log.read_text(errors="replace").count(words)

    return await_condition(lambda: count() >= times, seconds=30)


@contextmanager
def database(site: Site) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(urlsplit(site.database_url).path)) as connection:
        yield connection


def stored(site: Site) -> dict[str, list]:
    """Every row of every table, but when sweeps were seen; and every file."""
    with database(site) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = sorted(name for (name,) in tables if name != "diskette_sighting")
        rows = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    return rows | {"": [(path, path.stat().st_mtime_ns) for path in site.media.rglob("*")]}


def test_forged_messages_do_nothing_but_a_line_in_the_log(attacked, private_redis):
    name = next(attacked.archives.glob("tests_*.tar")).name
    before = stored(attacked)
    with database(attacked) as connection:
        found = "SELECT id, run_id FROM diskette_step WHERE name = 'finish' LIMIT 1"
        finish, run = (str(UUID(word)) for word in connection.execute(found).fetchone())
    with obeying(attacked, private_redis.url) as (worker, attacker):
        loads = (
            name,
            "latest",
            str(attacked.directory / "elsewhere.tar"),
            "http://127.0.0.1/a.tar",
        )
        refused = [("load", [archive], {}, {}) for archive in loads]
        refused += [
            ("load", [], {}, {}),
            ("load", [name], {"into": "production", "user": "admin"}, {}),
            ("dump", [], {"destination": "/tmp/stolen"}, {}),
            ("dump", [], {"label": ["x"]}, {}),
            ("dump", [], {"applications": "blog"}, {}),
            ("drill", [str(attacked.directory / "elsewhere.tar")], {}, {}),
            ("drill", ["link.tar"], {}, {}),
            ("drill", [], {}, {"task_id": run}),
            ("apply", [], {}, {}),
            ("apply", [str(uuid4()), "more"], {}, {}),
            (
                "apply",
                [str(uuid4())],
                {},
                {"task_id": f"{run}/apply", "ignore_result": False},
            ),
        ]
        for task, arguments, options, envelope in refused:
            attacker.send_task(f"diskette.{task}", arguments, options, queue=DUMPS, **envelope)
        assert told(worker, "was refused: ", len(refused)), worker.log.read_text()
        strange = ["/etc/passwd", "http://127.0.0.1/a.tar", "1' OR '1'='1", None, 7, {"a": 1}]
        for word in strange:
            attacker.send_task("diskette.apply", [word], queue=DUMPS)
        assert told(worker, "names no step", len(strange)), worker.log.read_text()
        late = [("finish", finish), ("apply", finish), ("apply", str(uuid4()))]
        for task, step in late:
            attacker.send_task(f"diskette.{task}", [step], queue=DUMPS)
        assert told(worker, "is not to be taken", len(late)), worker.log.read_text()
        attacker.send_task("diskette.load", [name], queue=DUMPS, serializer="pickle")
        assert told(worker, "ContentDisallowed", 1), worker.log.read_text()
    assert stored(attacked) == before


def test_where_messages_may_load_only_an_archive_of_the_destination_is(attacked, private_redis):
    name = next(attacked.archives.glob("tests_*.tar")).name
    before = stored(attacked)
    with obeying(attacked, private_redis.url, DISKETTE_LOAD_ENABLED="1") as (worker, attacker):
        words = [
            str(attacked.directory / "elsewhere.tar"),
            f"../archives/{name}",
            "http://127.0.0.1/a.tar",
            "nosuch.tar",
            "link.tar",
            ".hidden.tar",
            "x" * 100_000,
            ["latest"],
            None,
        ]
        for word in words:
            attacker.send_task("diskette.load", [word], queue=DUMPS)
        attacker.send_task("diskette.load", [name], {"mode": "wipe"}, queue=DUMPS)
        assert told(worker, "was refused: ", len(words) + 1), worker.log.read_text()
        assert stored(attacked) == before
        attacker.send_task("diskette.load", [name], queue=DUMPS)
        assert told(worker, "Task diskette.load[", 2 * len(words) + 4), worker.log.read_text()
        waiting = attacker.connection_for_write().default_channel.client.llen("diskette-load")
    # It is begun, and waits for the worker of its own queue.
    assert waiting == 1
    now = stored(attacked)
    changed = {name for name in now if now[name] != before[name]}
    assert changed - {"sqlite_sequence"} == {
        "diskette_run",
        "diskette_step",
        "diskette_lock",
        "django_celery_results_taskresult",
    }
    assert len(now["diskette_run"]) == len(before["diskette_run"]) + 1
