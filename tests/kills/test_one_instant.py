"""Rows that belong together are written all through a dump: the archive has both or neither."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import zstandard

from diskette.core.archive import ArchiveReader
from tests import servers
from tests.kills.scene import Healing
from tests.kills.test_kill_each_step import PATIENCE_SECONDS
from tests.leftovers import assert_nothing_left
from worker.servers import await_condition
from worker.sites import Site

pytestmark = pytest.mark.services

FIRST = "INSERT INTO blog_tag (name) VALUES (%s)"
SECOND = "INSERT INTO crm_company (id, name) VALUES (%s, %s)"


@contextmanager
def pairs_being_written(url: str) -> Iterator[list[str]]:
    """One transaction after another, each with a row in two applications."""
    stop, written = threading.Event(), list[str]()

    def write() -> None:
        with psycopg.connect(url) as connection:
            while not stop.is_set():
                name = f"pair {uuid4().hex}"
                connection.execute(FIRST, [name])
                connection.execute(SECOND, [uuid4(), name])
                connection.commit()
                written.append(name)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield written
    finally:
        stop.set()
        writer.join()


def names_in(archive: Path, model: str, tmp_path: Path) -> set[str]:
    with ArchiveReader(archive) as reader:
        (entry,) = [each for each in reader.manifest.models if each.model == model]
        reader.extract([entry.member.name], tmp_path / "extracted")
    with zstandard.open(tmp_path / "extracted" / entry.member.name, "rt") as lines:
        names = [json.loads(line)["fields"]["name"] for line in lines]
    return {name for name in names if name.startswith("pair ")}


def assert_both_or_neither(archive: Path, written: list[str], tmp_path: Path) -> None:
    tags, companies = (names_in(archive, each, tmp_path) for each in ("blog.Tag", "crm.Company"))
    assert tags == companies
    assert tags
    assert tags < set(written)


def dump(site: Site) -> dict:
    done = site.run("diskette_dump", "--enqueue", "--wait", "--format", "json")
    result: dict = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("pool", "concurrency"), [("prefork", 2), ("prefork", 1), ("threads", 1), ("solo", 1)]
)
def test_a_dump_shows_one_instant(site: Site, tmp_path: Path, pool: str, concurrency: int):
    chosen = dataclasses.replace(site, variables={**site.variables, "CELERY_POOL": pool})
    with (
        chosen.worker(name="one", concurrency=concurrency),
        chosen.worker(name="two", concurrency=concurrency),
        pairs_being_written(site.database_url) as written,
    ):
        result = dump(site)
    assert result["state"] == "succeeded", result["findings"]
    assert_both_or_neither(Path(result["archive"]), written, tmp_path)
    assert_nothing_left(site)


def test_a_dump_and_a_load_go_through_a_pooler(site: Site, tmp_path: Path):
    with servers.pgbouncer(site.database_url) as url:
        pooled = dataclasses.replace(site, database_url=url)
        with pooled.worker(), pairs_being_written(site.database_url) as written:
            result = dump(pooled)
            assert result["state"] == "succeeded", result["findings"]
        with pooled.worker():
            loaded = pooled.run(
                "diskette_load", result["archive"], "--no-input", "--enqueue", "--wait"
            )
    assert loaded.returncode == 0, loaded.stderr
    assert_both_or_neither(Path(result["archive"]), written, tmp_path)
    assert_nothing_left(site)


@pytest.mark.fault("the database's instant is lost in the middle")
def test_a_dump_whose_snapshot_is_lost_begins_its_parts_anew(
    site: Site, healing: Healing, tmp_path: Path
):
    """The process that holds the snapshot is killed when the first part is done."""
    holding = dataclasses.replace(
        site,
        celery_app="tests.site.holding",
        variables={**site.variables, "DISKETTE_TEST_HOLD": "dump/dump_application/after"},
    )
    held = Path(site.variables["DISKETTE_TEST_HELD"])
    with holding.worker(name="first") as worker, pairs_being_written(site.database_url) as written:
        run = site.manage("diskette_dump", "--enqueue").splitlines()[-1]
        assert await_condition(held.exists, seconds=PATIENCE_SECONDS), worker.log.read_text()
        os.kill(holder(site.archives / ".diskette" / run), signal.SIGKILL)
        worker.kill()
        healing.begins()
        with site.worker(name="second"):
            done = site.run("diskette_status", run, "--follow", "--format", "json")
    result = json.loads(done.stdout)
    assert result["state"] == "succeeded", result["findings"]
    healing.told(f"dump {result['state']}, of one instant")
    snapshots = [each for each in result["results"] if each["step"] == "open_snapshot"]
    assert [each["attempt"] for each in snapshots] == [2]
    assert_both_or_neither(Path(result["archive"]), written, tmp_path)
    assert_nothing_left(site)


def holder(workspace: Path) -> int:
    """The pid of the process that keeps the workspace's lease open."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = descriptor.readlink()
        except OSError:  # it ended meanwhile
            continue
        if target.parent == workspace and target.suffix == ".lease":
            return int(descriptor.parts[2])
    raise AssertionError(f"nobody holds a snapshot for {workspace}")
