"""Killed while rows are carried forward: nothing has happened, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest

from tests import servers
from tests.older.conftest import picture
from worker import mariadb
from worker.servers import await_condition
from worker.sites import Site

pytestmark = pytest.mark.services


def of_postgresql(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database")]


def of_mariadb(_: str) -> list[str]:
    with (
        closing(mariadb.connected(servers.mariadb_url())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW DATABASES")
        return [name for (name,) in cursor.fetchall()]


DATABASES: dict[str, Callable[[str], list[str]]] = {
    "postgresql": of_postgresql,
    "mysql": of_mariadb,
}


def scratches(site: Site, run: str) -> list[str]:
    names = DATABASES[urlsplit(site.database_url).scheme](site.database_url)
    return [name for name in names if name.startswith(f"diskette_scratch_{UUID(run).hex}_")]


def runs(site: Site) -> list[str]:
    """That have a workspace."""
    return [path.name for path in (site.archives / ".diskette").glob("*-*")]


def carrying(site: Site) -> bool:
    return any(scratches(site, run) for run in runs(site))


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_the_next_command_drops_the_scratch_database(older, tmp_path, engine):
    archive, _ = older.archive(engine, tmp_path)
    here = older.here(engine)
    before = picture(here)
    with here.begun("diskette_load", str(archive), "--no-input") as load:
        assert await_condition(lambda: carrying(here) or load.poll() is not None, seconds=120)
        assert load.poll() is None
        load.kill()
    (run,) = runs(here)
    assert "lease-lost" in here.run("diskette_status", run, "--format", "json").stdout
    assert scratches(here, run) == []
    assert runs(here) == []
    assert picture(here) == before
