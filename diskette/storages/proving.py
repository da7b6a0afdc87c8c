"""The proof after unpacking: what lies on the disk read again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from diskette.core.checksum import Tally, Tick, copy_with_digest
from diskette.core.exceptions import ChecksumMismatch, StorageError
from diskette.core.files import printable
from diskette.core.frames import frames_of
from diskette.core.manifest import StorageEntry
from diskette.core.space import disk_errors_named
from diskette.storages.guarding import entries_of
from diskette.storages.index import Entry, Kind


def prove(entry: StorageEntry, index: Path, root: Path, *, tick: Tick) -> None:
    """Compare a tree that was unpacked at `root` with its index: kinds, links, sizes, digests.

    Ticks the bytes read. Raises StorageError or, for a file's content, ChecksumMismatch.
    """
    with (
        frames_of(index, archive=entry.index.name, name="its list") as lines,
        disk_errors_named(root),
    ):
        for listed in entries_of(entry, lines):
            if listed.kind == Kind.UNREADABLE:
                continue  # it was not unpacked
            path = root / listed.path
            if not _is_as_listed(path, listed, root):
                raise StorageError(str(path), "is not what was unpacked there. Check the disk.")
            if listed.kind == Kind.FILE and (found := _digest(path, listed, tick)) != listed.sha256:
                name = printable(listed.path)
                raise ChecksumMismatch(str(root), name, listed.sha256, found)
            tick(0)


def _is_as_listed(path: Path, listed: Entry, root: Path) -> bool:
    found = path.lstat()
    match listed.kind:
        case Kind.FILE:
            return stat.S_ISREG(found.st_mode) and found.st_size == listed.size
        case Kind.DIRECTORY:
            return stat.S_ISDIR(found.st_mode)
        case Kind.LINK:
            return stat.S_ISLNK(found.st_mode) and os.readlink(path) == listed.target
        case Kind.HARD_LINK:
            return os.path.samestat(found, (root / listed.target).lstat())
    return True


def _digest(path: Path, listed: Entry, tick: Tick) -> str:
    extents = ((0, listed.size),) if listed.extents is None else listed.extents
    tally = Tally()
    with path.open("rb") as stream:
        for start, length in extents:
            stream.seek(start)
            copy_with_digest(stream, tally, tick=tick, at_most=length)
    return tally.close().hex
