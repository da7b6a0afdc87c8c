"""An archive of ours, made of what one of the original's holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS

from diskette import conf, registry
from diskette.core.assembling import write_archive
from diskette.core.checksum import Tick
from diskette.core.files import PRIVATE_DIRECTORY
from diskette.core.manifest import (
    FORMAT,
    UNKNOWN,
    DefinitionEntry,
    Manifest,
    StorageEntry,
    Versions,
)
from diskette.core.report import Finding
from diskette.core.space import disk_errors_named
from diskette.original import findings, media
from diskette.original.contents import DATA, Contents
from diskette.original.conversion import Conversion
from diskette.original.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    path: Path
    """An archive of ours, called as the one that it was made of."""
    manifest: Manifest
    findings: tuple[Finding, ...]
    """What was left out of it, or understood in one way of several."""


def convert(archive: Path, directory: Path, *, data: bool, storages: bool, tick: Tick) -> Converted:
    """Write an archive of ours that holds what one of the original's does.

    `directory` is made for it. `data`, `storages`: the parts that are wanted. Ticks the bytes of
    the archive twice, as they are read and as they are converted. Raises ArchiveError for what
    is no such archive or is hostile, InsufficientSpace before there is none.
    """

    def is_wanted(name: str) -> bool:
        return data if name.startswith(f"{DATA}/") else storages or "/" not in name

    with disk_errors_named(directory):
        directory.mkdir(mode=PRIVATE_DIRECTORY)
        with Spool(archive, directory, is_wanted) as spool:
            spool.fill(tick)
            making = _Making(spool, directory, _Share(tick, archive.stat().st_size, spool.size))
            fixtures = making.contents.fixtures if data else ()
            definitions = making.definitions(fixtures)
            trees = making.storages(making.contents.storages if storages else ())
    manifest = making.manifest(definitions, trees)
    path = directory / archive.name
    write_archive(path, manifest, making.members)
    for part in making.members.values():
        part.unlink()
    return Converted(path=path, manifest=manifest, findings=making.findings)


class _Making:
    def __init__(self, spool: Spool, directory: Path, tick: Tick) -> None:
        self._spool, self._directory, self._tick = spool, directory, tick
        self.contents = Contents.of(spool, conf.time_zone())
        self.members: dict[str, Path] = {}
        """The file of each member of the archive to be."""
        self.findings: tuple[Finding, ...] = ()

    def definitions(self, fixtures: tuple[str, ...]) -> tuple[DefinitionEntry, ...]:
        directory = self._directory / "rows"
        directory.mkdir(mode=PRIVATE_DIRECTORY)
        conversion = Conversion(self._spool, directory, self._tick)
        small = conf.minimal_filesize()
        filled = [each for each in fixtures if self._spool.size_of(each) > small]
        for fixture in filled:
            conversion.learn(fixture)
        for fixture in filled:
            conversion.take(fixture)
        self.findings = (
            *findings.of_conversion(conversion),
            *findings.of_small(
                {each: self._spool.size_of(each) for each in fixtures if each not in filled}, small
            ),
        )
        return conversion.definitions(fixtures, self.members)

    def storages(self, names: tuple[str, ...]) -> tuple[StorageEntry, ...]:
        entries = []
        mtime_ns = int(self.contents.creation.timestamp()) * 1_000_000_000
        for number, name in enumerate(names):
            parts = {part: self._directory / f"{number}.{part}" for part in ("tree", "index")}
            entry = media.convert(self._spool, name, mtime_ns, **parts, tick=self._tick)
            self.members |= {entry.tree.name: parts["tree"], entry.index.name: parts["index"]}
            entries.append(entry)
        return tuple(entries)

    def manifest(
        self, definitions: tuple[DefinitionEntry, ...], trees: tuple[StorageEntry, ...]
    ) -> Manifest:
        labels = sorted(entry.model for each in definitions for entry in each.models)
        models = filter(None, map(registry.find_model, labels))
        order = [model._meta.label for model in registry.load_order(list(models))]
        return Manifest(
            format=FORMAT,
            label=UNKNOWN,
            instant=self.contents.creation,
            run=UNKNOWN,
            purpose="dump",
            versions=Versions(
                diskette=self.contents.version,
                django=UNKNOWN,
                python=UNKNOWN,
                engines={DEFAULT_DB_ALIAS: UNKNOWN},
            ),
            snapshots=(),
            definitions=definitions,
            load_order=(*order, *(label for label in labels if label not in order)),
            storages=trees,
            migrations={},
            findings=self.findings,
        )


class _Share:
    """Counts what is converted as if it were the archive's own bytes."""

    def __init__(self, tick: Tick, whole: int, unpacked: int) -> None:
        self._tick, self._share = tick, whole / max(unpacked, 1)
        self._done = self._told = 0

    def __call__(self, done: int, /) -> None:
        self._done += done
        told = int(self._done * self._share)
        self._tick(told - self._told)
        self._told = told
