"""The tree of a storage is unpacked beside its place, and every byte of it checked.

Tree and index are read side by side: each member must be the one the index has next, of the
same kind and size, with the digest it promises. What is beyond the manifest's counts is
refused before it is written, so an archive unpacks to no more than it says.

Nothing here looks up a path: names are made in directories that are held open, in an order
that has each directory before its content. So no link, whoever made it, can lead a file out.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from diskette.core.checksum import CHUNK_BYTES, Source, Tally, Tick
from diskette.core.exceptions import (
    ArchiveError,
    ChecksumMismatch,
    ForeignArchive,
    UnsafeMember,
)
from diskette.core.fence import Fence, unfenced
from diskette.core.files import (
    DIRECTORY_FLAGS,
    PRIVATE_DIRECTORY,
    printable,
    remove_tree,
    sync_filesystem,
)
from diskette.core.frames import FrameReader, MendingFrames, frames_of
from diskette.core.manifest import StorageEntry
from diskette.core.relay import Aside
from diskette.core.space import disk_errors_named
from diskette.core.tar import TarReader
from diskette.storages.guarding import Guard, entries_of, shape
from diskette.storages.index import ROOT, Entry, Kind
from diskette.storages.mended import Loss, MendedTree
from diskette.storages.merging import complete
from diskette.storages.places import Place

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODES = 0o777
"""Kept of a file: nothing that would let it run as somebody else."""
_DIRECTORY_MODES = 0o3777


class Staged(NamedTuple):
    tree: Path
    taken: int
    """Bytes of its files, in whole blocks."""


def stage(
    entry: StorageEntry,
    tree: Path | Source,
    index: Path,
    live: Path,
    run: str,
    *,
    tick: Tick,
    fence: Fence = unfenced,
    merging: bool = False,
) -> Staged:
    """Unpack a storage's members where `swap` will find them.

    `merging`: beside what is live and not among them, so that the swap deletes nothing.

    The index must have been checked, by extracting it; the tree is checked against that, so it
    may be read where it lies (`ArchiveReader.content`), without room for a copy of it.

    Ticks the bytes written. May be repeated: an attempt before is removed; once the swap has
    begun nothing is done. `fence` raises where another process stages it by now: that one's
    directories are left alone. Raises ArchiveError for what is not as promised, UnsafeMember for
    what would leave the storage, StorageError, InsufficientSpace; then nothing is left of it.
    """

    def fill(place: Place) -> int:
        taken = _unpack(entry, tree, index, place, tick)
        if merging:
            _keep_live(place, tick)
        return taken

    return _staged(entry, live, run, fill, fence)


def salvage(
    entry: StorageEntry,
    tree: Source,
    index: Path,
    live: Path,
    run: str,
    *,
    tick: Tick,
    fence: Fence = unfenced,
) -> Loss:
    """The same of a damaged tree: files that have their digest, beside what is live.

    Nothing that is live is lost by the swap, for nobody knows what else the tree held. Returns
    what could not be had.
    """
    loss = Loss()

    def fill(place: Place) -> int:
        taken = _salvage(entry, tree, index, place, loss, tick)
        _keep_live(place, tick)
        return taken

    _staged(entry, live, run, fill, fence)
    return loss


def _keep_live(place: Place, tick: Tick) -> None:
    if place.live.is_dir():
        complete(place.staging, place.live, tick)


def _staged(
    entry: StorageEntry, live: Path, run: str, fill: Callable[[Place], int], fence: Fence
) -> Staged:
    """`fill` returns the bytes that it took."""
    place = Place.for_staging(live, run)
    if place.has_begun:
        return Staged(place.staged, 0)
    parent = place.staged.parent
    with disk_errors_named(parent, needed=entry.raw_bytes):
        parent.mkdir(parents=True, exist_ok=True)
        fence()
        remove_tree(place.staging)
        remove_tree(place.staged)
        place.staging.mkdir(mode=PRIVATE_DIRECTORY)
        made = _identity(place.staging)
        try:
            taken = fill(place)
            # After a power cut, too, what a committed load swaps in must be there.
            sync_filesystem(place.staging)
            fence()
        except BaseException:
            if _identity(place.staging) == made:
                remove_tree(place.staging)
            raise
        place.staging.rename(place.staged)
    return Staged(place.staged, taken)


def _identity(directory: Path) -> tuple[int, int] | None:
    """What no other directory has while somebody holds this one open; None: it is gone."""
    try:
        status = directory.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _salvage(
    entry: StorageEntry, tree: Source, index: Path, place: Place, loss: Loss, tick: Tick
) -> int:
    with (
        frames_of(index, archive=entry.index.name, name="its list") as lines,
        ExitStack() as closing,
    ):
        mended = MendedTree(MendingFrames(tree))
        salvager = _Salvager(entry, mended, place, tick, (_AtOnce(),), loss=loss)
        closing.callback(salvager.close)
        for listed in entries_of(entry, lines):
            mended.enter(listed)
            salvager.take(listed)
        salvager.finish()
        return salvager.blocks * salvager.block


def _unpack(entry: StorageEntry, tree: Path | Source, index: Path, place: Place, tick: Tick) -> int:
    with (
        frames_of(tree, archive=entry.tree.name, name="its tree") as frames,
        frames_of(index, archive=entry.index.name, name="its list") as lines,
        ExitStack() as closing,
        Aside() as one,
        Aside() as other,
    ):
        reader = TarReader(frames, entry.tree.name, sparse=True)
        unpacker = _Unpacker(entry, reader, place, tick, (one, other))
        closing.callback(unpacker.close)
        for listed in _listed(entry, reader, lines):
            unpacker.take(listed)
        unpacker.finish()
        return unpacker.blocks * unpacker.block


def _listed(entry: StorageEntry, reader: TarReader, lines: FrameReader) -> Iterator[Entry]:
    """The line of each member that comes. Raises ForeignArchive where they do not match."""
    entries = entries_of(entry, lines)
    for header in reader:
        listed = next(entries, None)
        if listed is None:
            raise _mismatch(entry, header.name, "is not in the index")
        if shape(header) != shape(listed.header()):
            raise _mismatch(entry, header.name, f"is {listed.path!r} in the index")
        yield listed
    if (left := next(entries, None)) is not None:
        raise _mismatch(entry, left.path, "is in the index but not in the tree")


def _mismatch(entry: StorageEntry, name: str, what: str) -> ArchiveError:
    why = f"{printable(name)} {what}: the archive was changed or damaged. Do not load it."
    return ForeignArchive(entry.tree.name, why)


@dataclass(slots=True, kw_only=True)
class _Level:
    """A directory being filled."""

    prefix: str
    """Of the paths in it: empty, or ending in a slash."""
    directory: int
    entry: Entry
    awaited: list[int]
    """A turn for each writer that may still make files in it, the last one's at the front."""


class _NewFile:
    """A sink that is a file, once it is made."""

    __slots__ = ("directory", "entry", "name", "opened", "tally")

    def __init__(self, entry: Entry, name: str, directory: int) -> None:
        self.entry, self.name, self.directory = entry, name, directory
        self.opened = -1
        self.tally = Tally(self)

    def write(self, chunk: bytes, /) -> None:
        left = memoryview(chunk)
        while left:
            left = left[os.write(self.opened, left) :]

    def seek(self, place: int) -> None:
        os.lseek(self.opened, place, os.SEEK_SET)


class _Unpacker:
    """Makes names where they belong; `writers` take turns to make, write and check files.

    Making a file takes the system as long as writing it, so what reads the tree leaves it to them.
    """

    def __init__(
        self,
        entry: StorageEntry,
        reader: Source,
        place: Place,
        tick: Tick,
        writers: Sequence[_Writer],
    ) -> None:
        self._entry, self._reader, self._place, self._tick = entry, reader, place, tick
        self._writers, self._turns = writers, cycle(writers)
        self._levels: list[_Level] = []
        self._opened: set[int] = set()
        """Files and directories; each is closed by whoever is done with it."""
        self._guard = Guard(entry)
        self._is_root = os.geteuid() == 0
        self._made_as = (os.geteuid(), os.getegid())
        """Whose files are when they are made."""
        self.block = os.statvfs(place.staging).f_frsize
        self.blocks = 0
        """That files take, in all."""

    def take(self, entry: Entry) -> None:
        self._guard.admit(entry)
        if entry.path == ROOT:
            self._open_root(entry)
        else:
            prefix, name = self._enter(entry.path)
            try:
                self._make(entry, name, prefix)
            except FileExistsError as error:
                raise self._unsafe(entry.path, "comes twice") from error
        self._tick(0)

    def finish(self) -> None:
        """Wait for the files and directories, and compare with the manifest."""
        while self._levels:
            self._leave()
        for writer in self._writers:
            writer.finish()
        self._guard.require_all()

    def close(self) -> None:
        """Close what nobody came to close, once all writers have ended."""
        for opened in self._opened:
            os.close(opened)

    def _open_root(self, entry: Entry) -> None:
        if self._levels:
            raise self._unsafe(entry.path, "comes twice")
        directory = os.open(self._place.staging, DIRECTORY_FLAGS)
        self._fill("", directory, entry)
        status = os.fstat(directory)
        if status.st_mode & stat.S_ISGID or (status.st_uid, status.st_gid) != self._made_as:
            self._made_as = (-1, -1)  # the filesystem has its own mind about owners

    def _fill(self, prefix: str, directory: int, entry: Entry) -> None:
        self._opened.add(directory)
        awaited = list(range(len(self._writers)))
        level = _Level(prefix=prefix, directory=directory, entry=entry, awaited=awaited)
        self._levels.append(level)

    def _enter(self, path: str) -> tuple[str, str]:
        """Go up to the directory that has the path, which must be open still."""
        parent, _, name = path.rpartition("/")
        prefix = f"{parent}/" if parent else ""
        while self._levels and self._levels[-1].prefix != prefix:
            self._leave()
        if not self._levels:
            raise self._unsafe(path, "comes before its directory, or long after it")
        return prefix, name

    def _make(self, entry: Entry, name: str, prefix: str) -> None:
        directory = self._levels[-1].directory
        if entry.kind == Kind.DIRECTORY:
            os.mkdir(name, PRIVATE_DIRECTORY, dir_fd=directory)
            opened = os.open(name, DIRECTORY_FLAGS, dir_fd=directory)
            self._fill(f"{prefix}{name}/", opened, entry)
        elif entry.kind == Kind.FILE:
            self._make_file(entry, name, directory)
        elif entry.kind == Kind.LINK:
            self._make_link(entry, name, directory)
        elif entry.kind == Kind.HARD_LINK:
            self._make_hard_link(entry, name, directory)

    def _make_file(self, entry: Entry, name: str, directory: int) -> None:
        self.blocks -= -entry.stored // self.block
        writer, file = next(self._turns), _NewFile(entry, name, directory)
        writer.do(self._open_file, file)
        for start, length in ((0, entry.size),) if entry.extents is None else entry.extents:
            if start:
                writer.do(file.seek, start)
            self._hand_over(writer, file.tally, length)
        writer.do(self._finish_file, file)

    def _open_file(self, file: _NewFile) -> None:
        try:
            file.opened = os.open(file.name, _NEW_FILE, 0o600, dir_fd=file.directory)
        except FileExistsError as error:
            raise self._unsafe(file.entry.path, "comes twice") from error
        self._opened.add(file.opened)

    def _hand_over(self, writer: _Writer, tally: Tally, left: int) -> None:
        while left and (chunk := self._reader.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            writer.do(tally.write, chunk, weight=len(chunk))
            self._tick(len(chunk))

    def _finish_file(self, file: _NewFile) -> None:
        entry = file.entry
        if (found := file.tally.close().hex) != entry.sha256:
            self._refuse(entry, found, file.directory)
        elif entry.extents is not None:
            os.ftruncate(file.opened, entry.size)
        self._describe(file.opened, entry, _FILE_MODES)
        self._close(file.opened)

    def _close(self, opened: int) -> None:
        self._opened.discard(opened)
        os.close(opened)

    def _refuse(self, entry: Entry, found: str, directory: int) -> None:  # noqa: ARG002
        """What becomes of a file that is not the one promised."""
        path = printable(entry.path)
        raise ChecksumMismatch(self._entry.tree.name, path, entry.sha256, found)

    def _make_link(self, entry: Entry, name: str, directory: int) -> None:
        os.symlink(entry.target, name, dir_fd=directory)
        if self._is_root:
            with _owner_allowed():
                os.chown(name, *_owner(entry), dir_fd=directory, follow_symlinks=False)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)

    def _make_hard_link(self, entry: Entry, name: str, directory: int) -> None:
        for writer in self._writers:
            writer.settle()  # one of them makes the first name
        *way, first = entry.target.split("/")
        at = os.dup(self._levels[0].directory)
        try:
            for part in way:
                below = os.open(part, DIRECTORY_FLAGS, dir_fd=at)
                os.close(at)
                at = below
            if not stat.S_ISREG(os.stat(first, dir_fd=at, follow_symlinks=False).st_mode):
                raise self._unsafe(entry.path, f"is a hard link to {entry.target!r}, no file,")
            os.link(first, name, src_dir_fd=at, dst_dir_fd=directory, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError) as error:
            why = f"is a hard link to {entry.target!r}, which did not come before it,"
            raise self._unsafe(entry.path, why) from error
        finally:
            os.close(at)

    def _leave(self) -> None:
        """Let a directory be as it was, once every writer has come past it."""
        level = self._levels.pop()
        # The children of a root that is moved piecewise need one that may be written to.
        modes = _DIRECTORY_MODES if self._levels or not self._place.inside else 0
        for writer in self._writers:
            writer.do(self._pass, level, modes)

    def _pass(self, level: _Level, modes: int) -> None:
        if level.awaited.pop() == 0:
            self._describe(level.directory, level.entry, modes)
            self._close(level.directory)

    def _describe(self, opened: int, entry: Entry, modes: int) -> None:
        if self._is_root and (owner := _owner(entry)) != self._made_as:
            with _owner_allowed():
                os.fchown(opened, *owner)
        if modes:
            os.fchmod(opened, entry.mode & modes)
        os.utime(opened, ns=(entry.mtime_ns, entry.mtime_ns))

    def _unsafe(self, path: str, why: str) -> UnsafeMember:
        return UnsafeMember(self._entry.tree.name, printable(path), why)


class _Salvager(_Unpacker):
    """Leaves out files that are not the ones promised, and other names of them."""

    def __init__(self, *given: Any, loss: Loss) -> None:
        super().__init__(*given)
        self._loss = loss
        self._lost: set[int] = set()

    def _refuse(self, entry: Entry, found: str, directory: int) -> None:  # noqa: ARG002
        self._lose(entry)
        os.unlink(entry.path.rpartition("/")[2], dir_fd=directory)

    def _make_hard_link(self, entry: Entry, name: str, directory: int) -> None:
        if hash(entry.target) in self._lost:
            self._lose(entry)
        else:
            super()._make_hard_link(entry, name, directory)

    def _lose(self, entry: Entry) -> None:
        self._lost.add(hash(entry.path))
        self._loss.add(entry.path)


class _Writer(Protocol):
    """Does what it is asked to, in order: at once, or later and aside."""

    def do(self, act: Callable[..., object], *arguments: Any, weight: int = 0) -> None: ...

    def settle(self) -> None: ...

    def finish(self) -> None: ...


class _AtOnce:
    """A writer for those who have to know what became of a file before the next one comes."""

    def do(self, act: Callable[..., object], *arguments: Any, weight: int = 0) -> None:  # noqa: ARG002
        act(*arguments)

    def settle(self) -> None:
        """Nothing waits."""

    finish = settle


@contextmanager
def _owner_allowed() -> Iterator[None]:
    """Root is not almighty in a container or on a network's disk; there files stay its own."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EINVAL}:
            raise


def _owner(entry: Entry) -> tuple[int, int]:
    """As `tar` does: by name where this machine knows the name, else by number."""
    return _uid(entry.user, entry.uid), _gid(entry.group, entry.gid)


@lru_cache(maxsize=1024)
def _uid(user: str, uid: int) -> int:
    try:
        return pwd.getpwnam(user).pw_uid if user else uid
    except KeyError:
        return uid


@lru_cache(maxsize=1024)
def _gid(group: str, gid: int) -> int:
    try:
        return grp.getgrnam(group).gr_gid if group else gid
    except KeyError:
        return gid
