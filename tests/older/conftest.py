"""Sites of today, and archives of the releases before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from diskette.core.archive import ArchiveReader
from diskette.core.assembling import write_archive
from diskette.core.checksum import digest_of
from diskette.core.manifest import ModelEntry
from diskette.data import lines
from tests.site.sites import Sites
from worker.sites import Site

SETTINGS = "tests.older.settings"
Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Older:
    """Makes sites and archives on one machine for all tests."""

    sites: Sites
    _made: dict[tuple[str, ...], tuple[Path, dict[str, Any]]] = field(default_factory=dict)

    def here(self, engine: str) -> Site:
        """A site of today, with rows."""
        return self.sites.make(engine=engine)

    def archive(
        self, engine: str, directory: Path, *words: str, state: str = "0001_initial"
    ) -> tuple[Path, dict[str, Any]]:
        """One of an older state, and what migrating the database it was made of gives."""
        wanted = ("--store", state, *words)
        if (engine, *wanted) not in self._made:
            self._made[engine, *wanted] = self._make(engine, wanted)
        made, expected = self._made[engine, *wanted]
        return Path(shutil.copy2(made, directory)), expected

    def _make(self, engine: str, words: Sequence[str]) -> tuple[Path, dict[str, Any]]:
        there = self.sites._new_directory()
        archive, url = there / "older.tar", self.sites._empty_database(engine, there)
        site = Site(directory=there, database_url=url, settings=SETTINGS)
        printed = site.manage("older_make", str(archive), *words)
        return archive, json.loads(printed.splitlines()[-1]) if printed.endswith("}") else {}


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Older]:
    sites = Sites(directory=tmp_path_factory.mktemp("older"), settings=SETTINGS, fill="older_fill")
    yield Older(sites)
    sites.close()


def loaded(site: Site, archive: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = site.run("diskette_load", str(archive), "--format", "json", *options)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def picture(site: Site) -> dict[str, Any]:
    return json.loads(site.manage("older_picture"))


def messages(told: dict[str, Any]) -> str:
    return "\n".join(each["message"] for each in told["findings"])


def changed(archive: Path, directory: Path, label: str, change: Change, **marks: Any) -> Path:
    """The archive with the rows of a model changed, and what its manifest says of them."""
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
        members = reader.extract([each.name for each in manifest.members], directory)
    (entry,) = [each for each in manifest.models if each.model == label]
    rewritten = _rewritten(entry, members[entry.member.name], change, **marks)
    definitions = [
        replace(d, models=tuple(rewritten if m.model == label else m for m in d.models))
        for d in manifest.definitions
    ]
    path = archive.with_name("changed.tar")
    write_archive(path, replace(manifest, definitions=tuple(definitions)), members)
    return path


def _rewritten(entry: ModelEntry, path: Path, change: Change, **marks: Any) -> ModelEntry:
    with path.open("rb") as stream:
        raw = zstandard.ZstdDecompressor().stream_reader(stream).read()
    rows = [orjson.loads(line) for line in raw.splitlines()]
    for row in rows:
        change(row["fields"])
    spelled = [orjson.dumps(row) for row in rows]
    path.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in spelled)))
    digest = digest_of(path)
    return replace(
        entry,
        fields=tuple(rows[0]["fields"]),
        member=replace(entry.member, bytes=digest.size, sha256=digest.hex),
        digest=lines.digest_hex(sum(map(lines.row_digest, spelled))),
        **marks,
    )
