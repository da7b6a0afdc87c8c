"""Rows of two applications that refer to each other are both in an archive, or neither."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import pytest

from diskette.core.archive import ArchiveReader
from tests.projects.trips import unpacked
from worker import mariadb
from worker.sites import Site

pytestmark = pytest.mark.services

PAIR = (
    "INSERT INTO auth_group (name) VALUES (%s)",
    "INSERT INTO library_genre (name) VALUES (%s)",
)


@contextmanager
def pairs_written(site: Site) -> Iterator[None]:
    """One transaction after another, each with a row in both applications."""
    ended, written = threading.Event(), threading.Event()

    def write() -> None:
        with closing(mariadb.connected(site.database_url)) as connection:
            connection.autocommit(False)
            number = 0
            while not ended.is_set():
                number += 1
                with connection.cursor() as cursor:
                    for statement in PAIR:
                        cursor.execute(statement, [f"pair-{number}"])
                connection.commit()
                written.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert written.wait(20)
        yield
    finally:
        ended.set()
        thread.join()


def names(fixtures: list[Path], model: str) -> set[str]:
    (fixture,) = [each for each in fixtures if each.name.endswith(f"_{model}.jsonl")]
    found = {orjson.loads(line)["fields"]["name"] for line in fixture.read_bytes().splitlines()}
    return {name for name in found if name.startswith("pair-")}


def test_of_mariadb_by_two_workers(sites, private_redis, tmp_path):
    site = sites.make(engine="mariadb", broker_url=private_redis.url)

    with site.worker(concurrency=2), pairs_written(site):
        archive = Path(site.manage("diskette_dump", "--enqueue", "--wait").splitlines()[-1])

    fixtures = unpacked(archive, tmp_path)
    groups, genres = (names(fixtures, model) for model in ("auth.Group", "library.Genre"))
    assert groups
    assert groups == genres
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
    assert [each.method for each in manifest.snapshots] == ["transaction"]
    run = site.manage("shell", "-v0", "-c", RESULTS).split()
    assert len(run) == len(manifest.definitions) > 2


RESULTS = """
from django_celery_results.models import TaskResult
for result in TaskResult.objects.filter(task_id__contains="/dump_application/", status="SUCCESS"):
    print(result.task_id.rpartition("/")[2])"""
