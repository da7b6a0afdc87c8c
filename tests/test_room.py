"""The room that a dump and a load say they need, beside what they really take, as others see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import psycopg
import pytest

from benchmarks import engines
from benchmarks.media import make_media
from benchmarks.places import Place
from diskette.core.space import taken_by_file, taken_in
from tests import servers
from worker import mariadb
from worker.sites import ROOT

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

ROWS = 30_000
MEDIA_BYTES, MEDIA_FILES = 20_000_000, 400
TOLERANCE = 0.25
NOTED = 0.1
"""How far what a run noted may be from what others saw: they look now and then."""
LOOK_SECONDS = 0.02

Sizes = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Yard:
    """A place, and what its database takes."""

    place: Place
    database_bytes: Callable[[], int]

    def sizes(self) -> Sizes:
        archives = self.place.archives
        return {
            "workspace": taken_in(archives / ".diskette"),
            "destination": sum(map(taken_by_file, filter(Path.is_file, archives.glob("*")))),
            "database": self.database_bytes(),
            "media": taken_in(self.place.media.parent),
        }

    def manage(self, *words: str) -> str:
        return self.python("-m", "django", *words)

    def python(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=os.environ | dict(self.place.environment("diskette")),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def peaks(self, *words: str) -> Sizes:
        """The most that a command takes in each place more than there was."""
        before, peaks, ended = self.sizes(), dict[str, int](), Event()

        def look() -> None:
            while not ended.wait(LOOK_SECONDS):
                for name, size in self.sizes().items():
                    peaks[name] = max(peaks.get(name, 0), size - before[name])

        looking = Thread(target=look)
        looking.start()
        try:
            self.manage(*words)
        finally:
            ended.set()
            looking.join()
        return peaks

    def told(self) -> Mapping[str, Sizes]:
        """What the newest run says that it needed and used."""
        shown = json.loads(self.manage("diskette_status", "latest", "--format", "json"))
        return shown["results"][-1]["stats"]

    def require_foreseen(self, *words: str) -> None:
        peaks, told = self.peaks(*words), self.told()
        for name, needed in told["needed_bytes"].items():
            assert needed == pytest.approx(peaks[name], rel=TOLERANCE), (name, peaks, told)
            assert told["used_bytes"][name] == pytest.approx(peaks[name], rel=NOTED), (name, peaks)
        unforeseen = {name: peaks[name] for name in peaks if name not in told["needed_bytes"]}
        assert all(size < 1_000_000 for size in unforeseen.values()), unforeseen


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request, tmp_path, monkeypatch) -> Iterator[engines.Engine]:
    monkeypatch.setenv(engines.POSTGRES, servers.postgres_url())
    if request.param == "mariadb":
        monkeypatch.setenv(engines.MARIADB, servers.require_mariadb())
    (directory := tmp_path / "engine").mkdir()
    with engines.opened(request.param, directory) as opened:
        yield opened


@contextmanager
def yard(engine: engines.Engine, directory: Path) -> Iterator[Yard]:
    """A migrated place without rows or files."""
    url = engine.create(directory.name)
    (directory / "files" / "media").mkdir(parents=True)
    place = Place(
        home=ROOT,
        archives=directory / "archives",
        database_url=url,
        media=directory / "files" / "media",
        variables=engine.variables,
    )
    with database_bytes(url) as size:
        made = Yard(place=place, database_bytes=size)
        made.manage("migrate", "-v0")
        yield made


@contextmanager
def database_bytes(url: str) -> Iterator[Callable[[], int]]:
    parts = urlsplit(url)
    name = parts.path.strip("/")
    if parts.scheme == "sqlite":
        files = [Path(parts.path + ending) for ending in ("", "-journal", "-wal")]
        yield lambda: sum(map(taken_by_file, files))
    elif parts.scheme == "postgresql":
        with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as asked:
            yield lambda: asked.execute("SELECT pg_database_size(%s)", [name]).fetchone()[0]
    else:
        with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
            yield lambda: bytes_on_mariadb(cursor, name)


def bytes_on_mariadb(cursor, name: str) -> int:
    cursor.execute(
        "SELECT sum(file_size) FROM information_schema.innodb_sys_tablespaces"
        " WHERE name LIKE concat(%s, '/%%')",
        [name],
    )
    return int(cursor.fetchone()[0] or 0)


@pytest.fixture
def source(engine, tmp_path) -> Iterator[Yard]:
    with yard(engine, tmp_path / "source") as made:
        made.python("-m", "benchmarks.project.fill", str(ROWS))
        make_media(made.place.media, size=MEDIA_BYTES, files=MEDIA_FILES)
        yield made


@pytest.fixture
def target(engine, tmp_path) -> Iterator[Yard]:
    with yard(engine, tmp_path / "target") as made:
        yield made


def newest(source: Yard) -> str:
    return str(max(source.place.archives.glob("*.tar")))


def test_a_dump_and_a_load_take_the_room_that_they_said(engine, source, target):
    source.require_foreseen("diskette_dump")
    load = ("diskette_load", newest(source), "--no-input", "--no-safety-dump")
    target.require_foreseen(*load)
    if engine.name != "mariadb":  # where rows of the same keys take each other's places
        target.require_foreseen(*load)
