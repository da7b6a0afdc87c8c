"""Sites that lead to what is live, with a picture of it to compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import servers
from tests.site.sites import Sites
from worker import mariadb
from worker.sites import Site

ROWS = """
import hashlib, json
from django.db import connection
rows = {}
with connection.cursor() as cursor:
    for table in sorted(connection.introspection.table_names(cursor)):
        if not table.startswith(("diskette_", "django_celery")):
            cursor.execute("SELECT * FROM " + connection.ops.quote_name(table))
            lines = sorted(map(repr, cursor.fetchall()))
            rows[table] = [len(lines), hashlib.sha256("".join(lines).encode()).hexdigest()]
print(json.dumps(rows))
"""
FILL = """
from tests.drills.stubborn.models import Note, Remark
Remark(note=Note.objects.create(name="precious"), text="kept").save()
"""


@pytest.fixture(scope="session")
def stubborn_sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    made = Sites(
        directory=tmp_path_factory.mktemp("stubborn"),
        settings="tests.drills.settings",
    )
    yield made
    made.close()


@pytest.fixture
def live(stubborn_sites: Sites, request: pytest.FixtureRequest) -> Site:
    """A filled site of the engine named, whose media are a link; with an archive of before."""
    made = stubborn_sites.make(
        engine=request.param,
        celery_app="worker",
        DISKETTE_DRILL_CHECK="tests.drills.stubborn.checking.harm",
    )
    elsewhere = made.directory / "elsewhere"
    made.media.rename(elsewhere)
    made.media.symlink_to(elsewhere)
    made.manage("shell", "-v0", "-c", FILL)
    made.manage("diskette_dump")
    return made


def picture(site: Site) -> tuple[dict, dict[str, str]]:
    """Of every live row, and of each file and link."""
    rows = json.loads(site.manage("shell", "-v0", "-c", ROWS))
    assert rows["stubborn_note"][0] == 2
    files = {str(path): _seen(path) for path in sorted((site.directory / "elsewhere").rglob("*"))}
    assert len(files) > 10
    return rows, files | {"media": str(site.media.readlink())}


def _seen(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def scratch_databases(site: Site) -> list[str]:
    """Those on the site's server that a drill has left."""
    if site.database_url.startswith("sqlite"):
        return [path.name for path in site.directory.rglob("diskette_scratch*")]
    runs = json.loads(site.manage("diskette_status", "--format", "json"))
    return databases_of(site, [run["run"] for run in runs])


def databases_of(site: Site, runs: list[str]) -> list[str]:
    """The scratch databases of these runs."""
    names = tuple("diskette_scratch_" + run.replace("-", "") for run in runs)
    return [each for each in _databases(site.database_url) if each.startswith(names)]


def _databases(url: str) -> list[str]:
    if urlsplit(url).scheme == "mysql":
        with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            return [name for (name,) in cursor.fetchall()]
    with closing(psycopg.connect(servers.postgres_url())) as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database")]


def left_over(site: Site) -> list[str]:
    """What an ended drill should have cleared."""
    places = (site.archives / ".diskette").glob("*"), site.directory.glob(".*diskette*")
    return [path.name for place in places for path in place] + scratch_databases(site)
