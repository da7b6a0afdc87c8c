"""What an index may list. Asked of all of it before the first byte lands, and of each entry again.

An index tells every path, kind, size and target of its tree, and the tree is unpacked only as
far as it agrees with that. So what would leave the storage, or be more than the manifest
promises, is refused before any of it is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from diskette.core.checksum import Source, Tick
from diskette.core.exceptions import ForeignArchive, UnsafeMember
from diskette.core.files import printable
from diskette.core.frames import FrameReader, frames_of
from diskette.core.manifest import StorageEntry
from diskette.core.tar import Header
from diskette.storages.index import DEEPEST, LONGEST_LINE, ROOT, Entry, Kind, leaves
from diskette.storages.places import is_ours

LONGEST_PART = 255
"""Bytes of a name in a directory."""

LONGEST_PLAIN = 200
_PLAIN = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*", re.ASCII)
"""Nearly every path: nothing in it can be wrong."""


def check(entry: StorageEntry, index: Path | Source, *, tick: Tick) -> None:
    """Read a storage's index, and nothing else.

    Raises UnsafeMember or ForeignArchive for a tree that must not be unpacked.
    """
    with frames_of(index, archive=entry.index.name, name="its list") as lines:
        guard = Guard(entry)
        for listed in entries_of(entry, lines):
            guard.admit(listed)
            tick(0)
        guard.require_all()


def entries_of(entry: StorageEntry, lines: FrameReader) -> Iterator[Entry]:
    """Each line of an index. Raises ForeignArchive for what Diskette would not have written."""
    count = 0
    for line in lines.lines(LONGEST_LINE):
        count += 1
        if count > entry.entries:
            why = f"it lists more than the {entry.entries:,} entries promised. Do not load it."
            raise ForeignArchive(entry.index.name, why)
        try:
            yield Entry.from_line(line)
        except ValueError as error:
            why = f"line {count:,} is not one of Diskette's ({error}). Do not load it."
            raise ForeignArchive(entry.index.name, why) from error
    if count < entry.entries:
        why = f"it lists {count:,} entries of the {entry.entries:,} promised. Fetch it again."
        raise ForeignArchive(entry.index.name, why)


def shape(header: Header) -> tuple[object, ...]:
    """What index and tree must agree in."""
    sparse = header.extents, header.real_size
    return header.name, header.kind, header.size, header.link, *sparse


class Guard:
    """Admits entries one by one, in the order of the tree."""

    def __init__(self, entry: StorageEntry) -> None:
        self._entry = entry
        self._files = self._bytes = 0
        self._open: list[str] = []
        """The directories on the way to the last entry, each as what the paths in it begin with."""

    def admit(self, entry: Entry) -> None:
        """Raise UnsafeMember or ForeignArchive unless it may be unpacked after those before."""
        self._count(entry)
        if entry.path == ROOT:
            self._admit_root(entry)
            return
        self._require_safe(entry.path)
        self._require_place(entry.path)
        if entry.kind == Kind.DIRECTORY:
            self._open.append(f"{entry.path}/")
        elif entry.kind == Kind.LINK and leaves(entry.path, entry.target):
            raise self._unsafe(entry.path, f"points out of the storage, to {entry.target!r},")
        elif entry.kind == Kind.HARD_LINK:
            self._require_safe(entry.target)

    def require_all(self) -> None:
        """Raise ForeignArchive unless all was there that the manifest promises."""
        if not self._open:
            raise ForeignArchive(self._entry.tree.name, "it is empty. Do not load it.")
        if (self._files, self._bytes) != (self._entry.files, self._entry.raw_bytes):
            why = (
                f"it holds {self._files:,} files of {self._bytes:,} bytes where the manifest "
                f"promises {self._entry.files:,} of {self._entry.raw_bytes:,}. Do not load it."
            )
            raise ForeignArchive(self._entry.tree.name, why)

    def _count(self, entry: Entry) -> None:
        self._files += entry.kind != Kind.DIRECTORY
        self._bytes += entry.stored + entry.padding
        if self._bytes > self._entry.raw_bytes or self._files > self._entry.files:
            why = "it holds more than the manifest promises. Do not load it."
            raise ForeignArchive(self._entry.tree.name, why)

    def _admit_root(self, entry: Entry) -> None:
        if self._open or entry.kind != Kind.DIRECTORY:
            raise self._unsafe(entry.path, "comes twice, or is no directory")
        self._open.append("")

    def _require_place(self, path: str) -> None:
        parent = path[: path.rfind("/") + 1]
        while self._open and self._open[-1] != parent:
            self._open.pop()
        if not self._open:
            raise self._unsafe(path, "comes before its directory, or long after it")

    def _require_safe(self, path: str) -> None:
        if len(path) <= LONGEST_PLAIN and _PLAIN.fullmatch(path):
            return
        parts = path.split("/")
        if path.startswith("/"):
            raise self._unsafe(path, "is an absolute path")
        if ".." in parts:
            raise self._unsafe(path, "leaves the storage")
        if "" in parts or "." in parts:
            raise self._unsafe(path, "is spelled in a way that no file is named")
        if any(map(is_ours, parts)):
            raise self._unsafe(path, "bears a name of Diskette's own")
        if len(parts) > DEEPEST or max(len(os.fsencode(part)) for part in parts) > LONGEST_PART:
            raise self._unsafe(path, "is longer than any path in a storage")

    def _unsafe(self, path: str, why: str) -> UnsafeMember:
        return UnsafeMember(self._entry.tree.name, printable(path), why)
