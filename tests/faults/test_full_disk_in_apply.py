"""A disk of the live database that fills while rows are applied: all is as it was before."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.filesystems import mounted
from worker.servers import PostgreSQL, new_directory, unprivileged_user
from worker.sites import ROOT, Site

pytestmark = pytest.mark.services

LEFT_BYTES = 200_000
FILLED = """
import shutil, sys
import django
django.setup()
from django.core.management import execute_from_command_line
from diskette.steps import FUNCTIONS
apply = FUNCTIONS["load", "apply"]
def filled(context):
    disk, left = sys.argv[1], int(sys.argv[2])
    with open(f"{disk}/filler", "wb") as filler:
        filler.write(bytes(shutil.disk_usage(disk).free - left))
    try:
        return apply(context)
    finally:
        print("left when the apply was over:", shutil.disk_usage(disk).free)
FUNCTIONS["load", "apply"] = filled
execute_from_command_line(["manage.py", *sys.argv[3:]])
"""
"""A command beside a program that takes nearly all of a disk just before the apply."""

Ask = Callable[[str], list[tuple]]
"""The rows that a query gives."""


@dataclass(frozen=True)
class Harmed:
    """A site that has changed since its archive was made."""

    site: Site
    archive: Path
    picture: str


def harmed(site: Site) -> Harmed:
    site.manage("sample_fill")
    archive = Path(site.manage("diskette_dump").splitlines()[-1])
    site.manage("sample_harm")
    return Harmed(site=site, archive=archive, picture=site.manage("sample_picture"))


def load_beside_another_program(before: Harmed, disk: Path) -> subprocess.CompletedProcess[str]:
    words = ("diskette_load", before.archive.name, "--no-input", "--no-safety-dump")
    return subprocess.run(
        [sys.executable, "-c", FILLED, str(disk), str(LEFT_BYTES), *words],
        cwd=ROOT,
        env=before.site.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_as_before(before: Harmed, done: subprocess.CompletedProcess[str], ask: Ask) -> None:
    site = before.site
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert site.manage("sample_picture") == before.picture
    shown = json.loads(site.run("diskette_status", "latest", "--format", "json").stdout)
    failed = [each["step"] for each in shown["results"] if each["state"] == "failed"]
    assert (shown["state"], failed) == ("failed", ["apply"])
    assert [finding["code"] for finding in shown["findings"]] == ["no-space"]
    assert ask("SELECT * FROM diskette_lock") == []
    assert ask("SELECT * FROM diskette_run WHERE finished_at IS NULL") == []
    assert before.archive.exists()
    assert list((site.archives / ".diskette").glob("*")) == []
    assert list(site.directory.glob(".*diskette*")) == []


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_disk_that_fills_up_while_sqlite_applies(tmp_path, journal):
    with mounted(tmp_path / "small", "size=20m") as small:
        file = small / "site.sqlite3"
        site = Site(directory=tmp_path, database_url=f"sqlite://{file}")
        site.manage("migrate", "-v0")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA journal_mode={journal}")
            before = harmed(site)
            done = load_beside_another_program(before, small)
            assert f"{small} filled up" in done.stderr
            assert_as_before(before, done, lambda sql: connection.execute(sql).fetchall())


@pytest.fixture
def small_disk(private_postgres: PostgreSQL) -> Iterator[Path]:
    """A disk of the server's that holds one database, `site`, and nothing else."""
    with mounted(new_directory("tablespace-"), "size=30m") as disk:
        (space := disk / "space").mkdir()
        if owner := unprivileged_user():
            os.chown(space, owner.pw_uid, owner.pw_gid)
        with psycopg.connect(private_postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            connection.execute("CREATE DATABASE site TABLESPACE small")
        yield disk
        private_postgres.stop()


@pytest.mark.fault("the database's disk fills up in `apply`")
def test_a_disk_that_fills_up_while_postgresql_applies(
    tmp_path, healing, private_postgres, small_disk
):
    url = urlsplit(private_postgres.url)._replace(path="/site").geturl()
    site = Site(directory=tmp_path, database_url=url)
    site.manage("migrate", "-v0")
    before = harmed(site)
    healing.begins()
    done = load_beside_another_program(before, small_disk)
    healing.told("load failed (no-space), nothing changed")
    assert "the disk of the database default filled up (could not extend file" in done.stderr
    left = re.search(r"left when the apply was over: (\d+)", done.stdout)
    assert left is not None
    assert int(left[1]) > LEFT_BYTES  # enough to store that the run failed
    with psycopg.connect(url) as connection:
        assert_as_before(before, done, lambda sql: connection.execute(sql).fetchall())
        staged = "SELECT * FROM pg_namespace WHERE nspname LIKE 'diskette%'"
        assert connection.execute(staged).fetchall() == []
