"""Archives of the original on other engines, by a queue, and larger than the memory may be."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.data.test_memory import BYTES, peak_bytes
from tests.original.files import files
from tests.original.packing import member
from tests.original.test_archives import ARCHIVES, NAMES, SOURCE, rows_as, rows_there
from tests.original.web import served
from tests.servers import require_mariadb
from worker.sites import Site

pytestmark = pytest.mark.services

ARCHIVE = ARCHIVES / "0.6-json.tar.gz"
STORAGES = {"DJANGO_SETTINGS_MODULE": "tests.original.settings"}
"""The original's, in place of the site's own."""
SHOW = "import json; from tests.original.rows import rows; print(json.dumps(rows()))"
ROWS = 30_000
ROW = {
    "model": "auth.user",
    "fields": {
        "password": "!" * 100,
        "last_login": None,
        "is_superuser": False,
        "first_name": "f" * 140,
        "last_name": "l" * 140,
        "email": "e" * 240,
        "is_staff": False,
        "is_active": True,
        "date_joined": "2026-01-01T00:00:00Z",
        "groups": [],
        "user_permissions": [],
    },
}


def assert_rows(site: Site, name: str) -> None:
    assert rows_there(name) == rows_as(name, json.loads(site.manage("shell", "-v0", "-c", SHOW)))


def assert_loaded(site: Site) -> None:
    assert_rows(site, ARCHIVE.name)
    assert files(site.directory) == SOURCE["files"]


def test_a_worker_fetches_it_and_loads_it_into_postgresql(sites, private_redis):
    site = sites.make(engine="postgresql", filled=False, broker_url=private_redis.url, **STORAGES)
    with served(ARCHIVES) as address, site.worker():
        site.manage(
            "diskette_load", f"{address}/{ARCHIVE.name}", "--no-input", "--enqueue", "--wait"
        )
    assert_loaded(site)


def test_each_is_loaded_into_mariadb_by_a_command_of_its_own(sites):
    """On one site, each after the other: what is there is replaced."""
    require_mariadb()
    site = sites.make(engine="mariadb", filled=False, **STORAGES)
    for name in NAMES:
        site.manage("diskette_load", str(ARCHIVES / name), "--no-input", "--no-safety-dump")
        assert_rows(site, name)
    assert files(site.directory) == SOURCE["files"]


def test_a_large_fixture_is_read_row_by_row(sites, tmp_path):
    """Converting it is all that another archive's load does not do."""
    site = sites.make(engine="sqlite", filled=False)
    archive = large(tmp_path / "large.tar.gz", ROWS)

    assert peak_bytes(site, "diskette_inspect", str(archive)) < BYTES
    assert f"{ROWS:,} rows" in (site.directory / "output.log").read_text()


def large(path: Path, rows: int) -> Path:
    """An archive of one JSON fixture, of a kilobyte a row."""
    with (
        tarfile.open(path, "w:gz", compresslevel=1) as archive,
        path.with_name("rows").open("w+b") as text,
    ):
        for number in range(rows):
            fields = {**ROW["fields"], "username": f"user{number}"}
            row = json.dumps({**ROW, "pk": number + 1, "fields": fields})
            text.write((",\n" if number else "[").encode() + row.encode())
        text.write(b"]")
        header = tarfile.TarInfo("data/users.json")
        header.size = text.tell()
        text.seek(0)
        archive.addfile(header, text)
        shape = {"version": "0.6.0", "datas": [header.name], "storages": None}
        found, content = member("manifest.json", json.dumps(shape).encode())
        archive.addfile(found, io.BytesIO(content))
    return path
