"""A storage becomes two members of an archive: its tree, and the index of it.

Everything that was not collected as it lies there is a finding: files that vanished, changed
or could not be read meanwhile, links that lead out, sockets and devices. The rest of the
storage is collected all the same.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import humanize

from diskette.core.checksum import CHUNK_BYTES, Digest, Sink, Tally, Tick
from diskette.core.files import printable, private_file
from diskette.core.frames import FrameWriter, ThreadedFrameWriter
from diskette.core.manifest import MemberEntry, storage_member
from diskette.core.relay import Aside
from diskette.core.report import Finding, Severity
from diskette.core.space import named
from diskette.core.tar import END, Extents, padding
from diskette.storages.configured import Storage
from diskette.storages.holes import data_extents
from diskette.storages.index import Entry, Kind, leaves
from diskette.storages.walking import GONE, READ_FILE, Excludes, Found, walk

SAMPLE = 20
"""So many paths are named in a finding about more."""

_SPECIAL = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePart:
    """What was collected of one storage."""

    name: str
    tree: MemberEntry
    index: MemberEntry
    entries: int
    files: int
    raw_bytes: int
    excludes: tuple[str, ...]
    findings: tuple[Finding, ...]


def collect(storage: Storage, tree: Path, index: Path, *, tick: Tick) -> StoragePart:
    """Write a storage's two members. Ticks the bytes read; nothing is left when this raises.

    Raises StorageError if the storage cannot be read, InsufficientSpace if its members find no
    room.
    """
    collector = _Collector(storage, tick)
    try:
        with (
            private_file(tree, synced=False) as tree_file,
            private_file(index, synced=False) as index_file,
            Aside() as aside,
        ):
            frames = ThreadedFrameWriter(Tally(tree_file), aside)
            return collector.run(frames, FrameWriter(Tally(index_file)))
    except OSError as error:
        raise named(error, tree.parent, needed=collector.raw_bytes) from error


class _Collector:
    _tree: FrameWriter
    _index: FrameWriter

    def __init__(self, storage: Storage, tick: Tick) -> None:
        self.raw_bytes = 0
        self._storage, self._tick = storage, tick
        self._entries = self._files = 0
        self._problems = _Problems(storage.name)
        self._first_names = _FirstNames()

    def run(self, tree: FrameWriter, index: FrameWriter) -> StoragePart:
        self._tree, self._index = tree, index
        excludes = Excludes(self._storage.excludes)
        for found in walk(self._storage.root, excludes, self._problems.note):
            self._take(found)
            self._tick(0)
        self._tree.write(END)
        return self._part()

    def _part(self) -> StoragePart:
        name = self._storage.name
        return StoragePart(
            name=name,
            tree=_member(name, "tree", self._tree.close()),
            index=_member(name, "index", self._index.close()),
            entries=self._entries,
            files=self._files,
            raw_bytes=self.raw_bytes,
            excludes=self._storage.excludes,
            findings=self._problems.findings(),
        )

    def _take(self, found: Found) -> None:
        mode = found.status.st_mode
        if stat.S_ISDIR(mode):
            self._add(_entry(found.path, Kind.DIRECTORY, found.status))
        elif stat.S_ISREG(mode):
            self._take_file(found)
        elif stat.S_ISLNK(mode):
            self._take_link(found)
        else:
            self._problems.special(found.path, _SPECIAL.get(stat.S_IFMT(mode), "no file"))

    def _take_link(self, found: Found) -> None:
        try:
            target = os.readlink(found.name, dir_fd=found.directory)
        except OSError as error:
            self._problems.note(found.path, error)
            return
        if leaves(found.path, target):
            self._problems.leaving(found.path, target)
        else:
            self._add(_entry(found.path, Kind.LINK, found.status, target=target))

    def _take_file(self, found: Found) -> None:
        try:
            source = os.open(found.name, READ_FILE, dir_fd=found.directory)
        except OSError as error:
            self._problems.note(found.path, error)
            return
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                self._problems.changed(found.path)
            elif first := self._first_names.get(status):
                self._add(_entry(found.path, Kind.HARD_LINK, status, target=first))
            elif self._copy(found.path, source, status):
                self._first_names.remember(status, found.path)
        finally:
            os.close(source)

    def _copy(self, path: str, source: int, status: os.stat_result) -> bool:
        """Whether the file could be read to its end."""
        try:
            extents = data_extents(source, status)
            pieces = _pieces(source, ((0, status.st_size),) if extents is None else extents)
            first = next(pieces, b"")
        except OSError as error:
            self._problems.note(path, error)
            return False
        plain = _entry(path, Kind.FILE, status, size=status.st_size, extents=extents)
        self._tree.write(plain.header().to_bytes())
        self.raw_bytes += plain.stored
        tally = Tally(self._tree)
        broken = self._copy_content(tally, first, pieces)
        missing = plain.stored - tally.bytes
        # A sparse file that shrank keeps its size, for the map of its holes is written already.
        self._fill(self._tree if extents is None else tally, missing)
        self._tree.write(padding(plain.stored))
        if broken is not None:
            self._problems.note(path, broken)
        elif missing or _has_changed(source, status):
            self._problems.changed(path)
        kind = Kind.FILE if broken is None else Kind.UNREADABLE
        found: dict[str, Any] = {"kind": kind, "sha256": tally.close().hex}
        if extents is None:
            found |= {"size": tally.bytes, "padding": missing}
        self._list(replace(plain, **found))
        return broken is None

    def _copy_content(self, tally: Tally, chunk: bytes, more: Iterator[bytes]) -> OSError | None:
        """Copy a file until it ends or fails; what fails in writing is not the file's fault."""
        while chunk:
            tally.write(chunk)
            self._tick(len(chunk))
            try:
                chunk = next(more, b"")
            except OSError as error:
                return error
        return None

    def _fill(self, sink: Sink, size: int) -> None:
        """Keep the promise of a header whose file shrank."""
        while size:
            zeros = bytes(min(CHUNK_BYTES, size))
            sink.write(zeros)
            self._tick(0)
            size -= len(zeros)

    def _add(self, entry: Entry) -> None:
        self._tree.write(entry.header().to_bytes())
        self._list(entry)

    def _list(self, entry: Entry) -> None:
        self._index.write(entry.to_line())
        self._entries += 1
        self._files += entry.kind != Kind.DIRECTORY


class _FirstNames:
    """Of files that have several names: the one collected first, while others may still come."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], tuple[str, int]] = {}

    def get(self, status: os.stat_result) -> str:
        """Empty for a file that was not collected yet."""
        key = (status.st_dev, status.st_ino)
        if status.st_nlink == 1 or key not in self._names:
            return ""
        first, awaited = self._names.pop(key)
        if awaited > 1:
            self._names[key] = (first, awaited - 1)
        return first

    def remember(self, status: os.stat_result, path: str) -> None:
        if status.st_nlink > 1:
            self._names[status.st_dev, status.st_ino] = (path, status.st_nlink - 1)


class _Problems:
    """Everything that was not collected as it lies there, counted, with a sample of each kind."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._found: dict[_Problem, tuple[list[str], int]] = {}

    def note(self, path: str, error: OSError) -> None:
        if error.errno in GONE:
            self._count(VANISHED, path)
        else:
            self._count(UNREADABLE, path, f" ({error.strerror})")

    def changed(self, path: str) -> None:
        self._count(CHANGED, path)

    def special(self, path: str, what: str) -> None:
        self._count(SPECIAL, path, f" ({what})")

    def leaving(self, path: str, target: str) -> None:
        self._count(LEAVING, path, f" -> {printable(target)}")

    def findings(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(
                code=problem.code,
                severity=problem.severity,
                message=f"{self._storage}: {_files(count)} {problem.what}: {_list(sample, count)}.",
                hint=problem.hint,
                target=self._storage,
                keys=tuple(sample),
                count=count,
            )
            for problem, (sample, count) in self._found.items()
        )

    def _count(self, problem: _Problem, path: str, why: str = "") -> None:
        sample, count = self._found.get(problem, ([], 0))
        if count < SAMPLE:
            sample.append(printable(path) + why)
        self._found[problem] = (sample, count + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    code: str
    severity: Severity
    what: str
    hint: str


VANISHED = _Problem(
    code="file-vanished",
    severity=Severity.WARNING,
    what="vanished while the storage was collected",
    hint="Nothing, if they were removed on purpose. Dump again if they should be in the archive.",
)
CHANGED = _Problem(
    code="file-changed",
    severity=Severity.WARNING,
    what="changed while being read, so the archive may hold a mixture of two states",
    hint="Dump again, or leave files that are always written to out (DISKETTE_STORAGES_EXCLUDES).",
)
UNREADABLE = _Problem(
    code="file-unreadable",
    severity=Severity.ERROR,
    what="could not be read and will be missing",
    hint="Let the user that Diskette runs as read them, or leave them out "
    "(DISKETTE_STORAGES_EXCLUDES).",
)
SPECIAL = _Problem(
    code="file-unreadable",
    severity=Severity.WARNING,
    what="left out, being neither files, links nor directories",
    hint="Leave them out on purpose (DISKETTE_STORAGES_EXCLUDES), and this is not said again.",
)
LEAVING = _Problem(
    code="unsafe-member",
    severity=Severity.WARNING,
    what="left out, being links that lead out of the storage, or might",
    hint="What they point to is not in the archive. Make it a storage of its own, let the link be "
    "relative and stay within the storage, or leave it out (DISKETTE_STORAGES_EXCLUDES).",
)


def _pieces(source: int, extents: Extents) -> Iterator[bytes]:
    """What lies there, until the file ends or fails."""
    for start, length in extents:
        at, end = start, start + length
        while at < end:
            chunk = os.pread(source, min(CHUNK_BYTES, end - at), at)
            if not chunk:
                return
            yield chunk
            at += len(chunk)


def _entry(path: str, kind: Kind, status: os.stat_result, **more: Any) -> Entry:
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        mtime_ns=status.st_mtime_ns,
        uid=status.st_uid,
        gid=status.st_gid,
        user=_user(status.st_uid),
        group=_group(status.st_gid),
        **more,
    )


def _has_changed(source: int, before: os.stat_result) -> bool:
    after = os.fstat(source)
    return (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def _member(name: str, part: str, digest: Digest) -> MemberEntry:
    return MemberEntry(name=storage_member(name, part), bytes=digest.size, sha256=digest.hex)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{humanize.intcomma(count)} files"


def _list(sample: list[str], count: int) -> str:
    shown = sample[:3]
    more = f" and {humanize.intcomma(count - len(shown))} more" if count > len(shown) else ""
    return ", ".join(shown) + more


@lru_cache(maxsize=1024)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@lru_cache(maxsize=1024)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
