"""A tree read by what its index tells of it, so that damage hides no more than it hits.

The index says where everything lies: each description and content is as long as its entry makes
it. So nothing has to be found in the tree itself, and the digests of files say which are whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from diskette.core.checksum import CHUNK_BYTES, Source, Tick, copy_with_digest
from diskette.core.exceptions import ForeignArchive
from diskette.core.files import printable
from diskette.core.frames import MendingFrames, frames_of
from diskette.core.manifest import StorageEntry
from diskette.core.tar import BLOCK_BYTES, RECORD_BYTES, Header, TarReader
from diskette.storages.guarding import Guard, entries_of, shape
from diskette.storages.index import Entry, Kind

MOST_NAMED = 1000
"""Of files that are lost; more are only counted."""


@dataclass(slots=True)
class Loss:
    """Files of a storage that cannot be had, or are not as promised."""

    paths: list[str] = field(default_factory=list)
    """As they may be shown; at most MOST_NAMED."""
    count: int = 0

    def add(self, path: str) -> None:
        self.count += 1
        if len(self.paths) < MOST_NAMED:
            self.paths.append(printable(path))


class MendedTree:
    """Goes from entry to entry of an index; `read` gives the content of the last one."""

    def __init__(self, frames: Source) -> None:
        self._frames = frames
        self._left = 0
        self._beyond = 0

    def enter(self, listed: Entry) -> bool:
        """Go to an entry's content. False if the tree does not describe it as the index does."""
        self._pass(self._left + self._beyond)
        header = listed.header()
        promised = header.to_bytes()
        found = self._exactly(len(promised))
        self._left = listed.stored
        self._beyond = listed.padding + -header.size % BLOCK_BYTES
        if found == promised:
            return True
        parsed = _parsed(found)
        return parsed is not None and shape(parsed) == shape(header)

    def read(self, size: int, /) -> bytes:
        """At most so many bytes of the content; none at its end, or where the tree ends."""
        chunk = self._frames.read(min(size, self._left)) if self._left else b""
        self._left -= len(chunk)
        return chunk

    def has_more(self) -> bool:
        """Whether anything but zeros follows the last entry."""
        self._pass(self._left + self._beyond)
        rest = self._exactly(RECORD_BYTES + 1)
        return any(rest) or len(rest) > RECORD_BYTES

    def _pass(self, size: int) -> None:
        while size and (chunk := self._frames.read(min(CHUNK_BYTES, size))):
            size -= len(chunk)

    def _exactly(self, size: int) -> bytes:
        chunks: list[bytes] = []
        while size and (chunk := self._frames.read(size)):
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)


def examine(entry: StorageEntry, tree: Source, index: Source, *, whole: bool, tick: Tick) -> Loss:
    """Which files of a tree are not those that its index promises.

    `whole`: the tree has its digest, so that all of it must be as a load takes it. Ticks the
    bytes of files. Raises ArchiveError for an index, or a whole tree, that no load takes.
    """
    loss, lost = Loss(), set[int]()
    with (
        _frames(entry, tree, whole=whole) as frames,
        frames_of(index, archive=entry.index.name, name="its list") as lines,
    ):
        mended, guard = MendedTree(frames), Guard(entry)
        for listed in entries_of(entry, lines):
            guard.admit(listed)
            is_described = mended.enter(listed) or not whole
            if not is_described or _is_lost(listed, mended, lost, tick):
                lost.add(hash(listed.path))
                loss.add(listed.path)
        guard.require_all()
        if whole and mended.has_more():
            raise ForeignArchive(entry.tree.name, "it holds more than its index. Do not load it.")
    return loss


@contextmanager
def _frames(entry: StorageEntry, tree: Source, *, whole: bool) -> Iterator[Source]:
    if whole:
        with frames_of(tree, archive=entry.tree.name, name="its tree") as frames:
            yield frames
    else:
        yield MendingFrames(tree)


def _is_lost(listed: Entry, content: Source, lost: Collection[int], tick: Tick) -> bool:
    if listed.kind == Kind.HARD_LINK:
        return hash(listed.target) in lost
    if listed.kind != Kind.FILE:
        return False
    return copy_with_digest(content, None, tick=tick).hex != listed.sha256


def _parsed(raw: bytes) -> Header | None:
    reader = TarReader(BytesIO(raw), "", sparse=True)
    try:
        return next(iter(reader), None)
    except ForeignArchive:
        return None
