"""The archives of a destination, as they say themselves what they are.

Names decide nothing: each file is opened, its manifest read and its members' places checked.
That takes a few reads, whatever its size; only `ArchiveReader.verify` reads every byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from diskette.core.archive import ArchiveReader
from diskette.core.exceptions import (
    ArchiveError,
    ArchiveNotFound,
    DisketteError,
    ForeignArchive,
    StorageError,
    UsageError,
)
from diskette.core.manifest import Manifest
from diskette.core.naming import SUFFIX, ArchiveName
from diskette.core.space import disk_errors_named

_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveInfo:
    """One file of a destination."""

    path: Path
    size: int
    """Bytes."""
    instant: datetime
    """Of its manifest; else of its name, or when the file was last written. Aware, UTC."""
    label: str
    """Of its manifest, else of its name; empty if neither tells."""
    manifest: Manifest | None
    """None for a file that is no archive, or is damaged."""
    error: DisketteError | None = None
    """Why there is no manifest."""
    proven_at: datetime | None = None
    """When a load of it was last proven right; the catalog does not know."""
    damaged_at: datetime | None = None
    """When it was last found damaged, if not found right since; the catalog does not know."""
    chosen: tuple[str, ...] = ()
    """The definitions that were asked for, if not all; the catalog does not know."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def purpose(self) -> str:
        """`dump`, `safety`, or empty for a damaged one."""
        return self.manifest.purpose if self.manifest else ""

    @property
    def parts(self) -> tuple[str, ...]:
        """`data`, `storages`, or both; none of a damaged one."""
        if (manifest := self.manifest) is None:
            return ()
        held = {"data": manifest.definitions, "storages": manifest.storages}
        return tuple(part for part, holds in held.items() if holds)

    @property
    def set_aside(self) -> str:
        """Why it is no archive to be counted; empty for a whole one."""
        if self.manifest is not None:
            return f"found damaged on {self.damaged_at:%Y-%m-%d}" if self.damaged_at else ""
        return "not Diskette's, or damaged" if self.is_foreign else "damaged"

    @property
    def is_foreign(self) -> bool:
        """Whether neither what it holds nor what it is called makes it an archive of ours."""
        return self.manifest is None and ArchiveName.parse(self.name) is None


def find(destination: Path) -> list[ArchiveInfo]:
    """Every archive there, newest first, damaged ones and other tar files included.

    Partial files and links are not listed. Raises StorageError for a directory that cannot be
    read; one that was never made is empty.
    """
    with disk_errors_named(destination):
        found = list(_found(destination)) if destination.is_dir() else []
    return sorted(found, key=lambda info: (info.instant, info.path.name), reverse=True)


def read(path: Path) -> ArchiveInfo:
    """What a file says of itself. Raises ArchiveNotFound if there is none."""
    try:
        with ArchiveReader(path) as archive:
            archive.check_structure()
            manifest = archive.manifest
    except ArchiveNotFound:
        raise
    except (ArchiveError, StorageError) as error:
        return _damaged(path, error)
    return ArchiveInfo(
        path=path,
        size=archive.size,
        instant=manifest.instant,
        label=manifest.label,
        manifest=manifest,
    )


def latest(destination: Path, label: str | None = None) -> ArchiveInfo | None:
    """The newest archive that a dump made, of one project if `label` is given; None: no archive.

    Safety copies are never meant by "latest". Raises ArchiveError if what seems to be the newest
    one is damaged, naming the newest that is whole: whoever loads must choose to lose a day.
    """
    found = [info for info in find(destination) if label is None or info.label == label]
    whole = next((info for info in found if info.purpose == "dump"), None)
    for info in found:
        if info is whole:
            break
        if info.error is not None and ArchiveName.parse(info.name):
            raise _newest_is_damaged(info, whole)
    return whole


def share_of(word: str) -> float:
    """`10%` as 0.1. Raises UsageError for anything but more than 0 % and up to 100 %."""
    found = _PERCENT.fullmatch(word.strip())
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share <= 1:
        raise UsageError(f"{word!r} is no share of the archives: write 10%, or up to 100%.")
    return share


def _found(destination: Path) -> Iterator[ArchiveInfo]:
    for path in destination.iterdir():
        if path.suffix != SUFFIX or path.name.startswith("."):
            continue
        if path.is_symlink() or not path.is_file():
            continue
        try:
            yield read(path)
        except ArchiveNotFound:
            continue  # removed since the directory was listed


def _damaged(path: Path, error: DisketteError) -> ArchiveInfo:
    status = path.stat()
    name = ArchiveName.parse(path.name)
    return ArchiveInfo(
        path=path,
        size=status.st_size,
        instant=name.instant if name else datetime.fromtimestamp(status.st_mtime, UTC),
        label=name.label if name else "",
        manifest=None,
        error=error,
    )


def _newest_is_damaged(info: ArchiveInfo, whole: ArchiveInfo | None) -> ArchiveError:
    cure = (
        f"The newest whole one is {whole.name}: name it to load that."
        if whole
        else "There is no whole one."
    )
    return ForeignArchive(info.name, f"the latest archive cannot be used: {info.error} {cure}")
