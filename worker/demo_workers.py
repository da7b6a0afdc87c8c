"""Some nights, an accident, a load: `make demo-workers`.

A site on PostgreSQL and Redis with two workers and a beat whose nights are seconds apart.
Servers named by DISKETTE_DEMO_POSTGRES (postgresql://user:password@host:port/database) and
DISKETTE_DEMO_REDIS (redis://host:port/0) are used; else both are started from their wheels.
Whatever happens, everything that was started has ended at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import humanize
import psycopg
from psycopg import sql

from worker.demo import compare, play, say, shown
from worker.servers import PostgreSQL, Redis, await_condition, new_directory
from worker.sites import ROOT, CommandFailed, Site

DIRECTORY = ROOT / "var" / "demo-workers"
NIGHT_SECONDS = 4
NIGHTS = {"dump": NIGHT_SECONDS, "drill": 9, "health": 5}
KEPT = 2
PATIENCE_SECONDS = 120.0
REFUSED = 3


def main() -> None:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    with ExitStack() as started:
        postgres = started.enter_context(postgresql())
        site = Site(
            directory=DIRECTORY / "site",
            database_url=started.enter_context(database(postgres)),
            broker_url=started.enter_context(redis()),
            variables={
                "DISKETTE_RETENTION": json.dumps({"last": KEPT}),
                # How full this machine is says nothing about backups of the demo.
                "DISKETTE_HEALTH": json.dumps({"free_percent": None}),
            },
        )
        say("Servers", f"{server_of(postgres)}, {server_of(site.broker_url)}")
        site.manage("migrate", "-v0")
        say("The site", site.manage("sample_fill"))
        as_it_was = started.enter_context(copy_of(site, postgres))

        started.enter_context(site.worker("celery", "diskette", name="worker"))
        started.enter_context(site.worker("diskette-load", name="load-worker"))
        say("Workers", "two: queues celery, diskette and queue diskette-load")

        with site.beat(DISKETTE_SCHEDULE=json.dumps(NIGHTS)):
            say("Beat", f"running; night falls every {NIGHT_SECONDS} seconds")
            await_nights(site)
            for what, told in story_of_nights(site):
                say(what, told)

        archive = dump_by_workers(site)
        say("Dumped", f"by the workers: {size_of(archive)}")

        say("An accident", site.manage("sample_harm"))
        run, watched = site.manage("sample_restore", archive.name).splitlines()
        say("Loaded", f"from the project's own task sample.restore: {run}")
        say("Watched", f"from its own task sample.watch: {watched}")

        say("Compared", f"with the site as it was: {compare(site, as_it_was)}")
        say("Archives", f"{shown(site.archives)}; logs in {shown(site.directory)}")


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL, named or started."""
    if named := os.environ.get("DISKETTE_DEMO_POSTGRES"):
        yield named
        return
    server = PostgreSQL(directory=new_directory("diskette-postgresql-")).start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis, named or started."""
    if named := os.environ.get("DISKETTE_DEMO_REDIS"):
        yield named
        return
    server = Redis(directory=new_directory("diskette-redis-")).start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def database(server: str, template: str = "template0") -> Iterator[str]:
    """A database of the demo's own, dropped at the end; `template`: what it is a copy of."""
    name = f"diskette_demo_{uuid4().hex[:12]}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(drop.format(sql.Identifier(name)))


@contextmanager
def copy_of(site: Site, server: str) -> Iterator[Site]:
    """The same rows and files a second time, made by PostgreSQL and by copying."""
    name = urlsplit(site.database_url).path.lstrip("/")
    copy = DIRECTORY / "as-it-was"
    shutil.copytree(site.media, copy / "media", symlinks=True)
    with database(server, template=name) as url:
        yield Site(directory=copy, database_url=url)


def await_nights(site: Site) -> None:
    """Until dumps were made, one of them pruned, one drilled, and health was looked at."""
    if not await_condition(lambda: nights_are_over(site), seconds=PATIENCE_SECONDS):
        log = (site.directory / "worker.log").read_text()
        raise CommandFailed(f"no nights in {PATIENCE_SECONDS} seconds; the worker says:\n{log}")


def nights_are_over(site: Site) -> bool:
    if len(archives(site)) < KEPT or not runs(site, "--finding", "archive-removed"):
        return False
    figures = json.loads(site.run("diskette_health", "--format", "json").stdout)["figures"]
    return bool(figures["succeeded"]["drill"] and figures["report_at"])


def story_of_nights(site: Site) -> Iterator[tuple[str, str]]:
    """What came of them, and what health says after them."""
    dumped = runs(site, "--kind", "dump", "--state", "succeeded", "--limit", "100")
    pruned = runs(site, "--finding", "archive-removed", "--limit", "100")
    drilled = runs(site, "--kind", "drill", "--state", "succeeded")
    yield "Nightly dumps", f"{len(dumped)}, the newest {size_of(archives(site)[-1])}"
    yield "Pruned", f"by {len(pruned)} of them: the last {KEPT} are kept"
    yield "Drilled", f"{Path(drilled[0]['archive']).name} is proven to be restorable"
    yield from (("Health", line) for line in site.manage("diskette_health").splitlines())


def runs(site: Site, *words: str) -> list[dict[str, Any]]:
    """The runs that diskette_status lists, the newest first."""
    found: list[dict[str, Any]] = json.loads(
        site.manage("diskette_status", "--format", "json", *words)
    )
    return found


def dump_by_workers(site: Site) -> Path:
    """Enqueue a dump and wait for it, as soon as a dump that a night began lets it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        done = site.run("diskette_dump", "--enqueue", "--wait")
        if done.returncode == 0:
            return Path(done.stdout.strip().splitlines()[-1])
        if done.returncode != REFUSED:
            raise CommandFailed(done.stderr)
    raise CommandFailed(f"refused for {PATIENCE_SECONDS} seconds: {done.stderr}")


def archives(site: Site) -> list[Path]:
    """Oldest first: a name ends in its instant."""
    return sorted(site.archives.glob("*.tar"))


def size_of(archive: Path) -> str:
    return f"{shown(archive)}, {humanize.naturalsize(archive.stat().st_size)}"


def server_of(url: str) -> str:
    """Without the user and the password."""
    parts = urlsplit(url)
    return f"{parts.scheme} on {parts.hostname}:{parts.port}"


if __name__ == "__main__":
    play(main)
