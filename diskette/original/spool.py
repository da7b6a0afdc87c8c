"""An archive of the original, unpacked into one file of the workspace, and a list of its members.

Its members come in any order, its manifest last, and nothing in it can be looked up: so what
they hold is written one after another, and where it lies is kept in an SQLite file. Memory
stays flat however many there are, and no name of the archive becomes one on the disk.
"""

from __future__ import annotations

import errno
import gzip
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from humanize import naturalsize

from diskette.core.archive import Content
from diskette.core.checksum import CHUNK_BYTES, Source, Tick
from diskette.core.exceptions import (
    DisketteError,
    ForeignArchive,
    StorageError,
    UnsafeMember,
)
from diskette.core.files import printable, private_file
from diskette.core.space import Need, disk_errors_named, named, require
from diskette.core.tar import Header, Kind, TarReader

MOST_EXPANDED = 1100
"""No gzip file holds more than so many times its size (deflate: 1032)."""
ROOM_PER_MEMBER = 1024
"""Bytes that a member takes in the list, generously."""
LONGEST_NAME = 1 << 13
ASKED_EVERY = 1 << 24
"""Bytes after which it is asked whether there is room for more."""

_KINDS = (Kind.FILE, Kind.DIRECTORY, Kind.LINK, Kind.HARD_LINK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member; text has surrogate escapes for bytes that are no UTF-8."""

    name: str
    kind: str
    """A file, a directory or a link: hard links have become files."""
    at: int
    """Where its content begins in the spool."""
    size: int
    link: str
    shared: bool
    """Whether other members are the same file: they lie at the same place."""
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    user: str
    group: str


_COLUMNS = tuple(each.name for each in fields(Member))
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_SCHEMA = f"CREATE TABLE members (sorting BLOB PRIMARY KEY, {_NAMES}) WITHOUT ROWID"
_INSERT = f"INSERT INTO members VALUES ({', '.join('?' * (1 + len(_COLUMNS)))})"  # noqa: S608
_SELECT = f"SELECT {_NAMES} FROM members"  # noqa: S608


class Spool:
    """The members of one archive. `wanted` says of which files the content is needed."""

    def __init__(self, archive: Path, directory: Path, wanted: Callable[[str], bool]) -> None:
        self.archive, self._directory, self._wanted = archive, directory, wanted
        self._content = directory / "content"
        self._list = sqlite3.connect(directory / "members.sqlite3")
        self._stream: BinaryIO | None = None
        self._taken = self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the room back."""
        self._list.close()
        if self._stream is not None:
            self._stream.close()
        for path in (self._content, self._directory / "members.sqlite3"):
            path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of all that was unpacked."""
        return self._content.stat().st_size

    def fill(self, tick: Tick) -> None:
        """Read the archive to its end. Ticks the bytes of it that were read.

        Raises UnsafeMember or ForeignArchive; InsufficientSpace before there is none.
        """
        for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            self._list.execute(f"PRAGMA {setting}")
        self._list.execute(_SCHEMA)
        try:
            with (
                disk_errors_named(self._directory),
                self.archive.open("rb") as raw,
                private_file(self._content, synced=False) as content,
            ):
                self._read(_Gzip(raw, self.archive, tick), content)
            self._list.commit()
        except sqlite3.OperationalError as error:
            raise self._list_refused(error) from error
        self._stream = self._content.open("rb")

    def find(self, name: str) -> Member | None:
        """The member of that name."""
        return next(self._members("sorting = ?", _sorting(name)), None)

    def beneath(self, directory: str) -> Iterator[Member]:
        """What lies in a directory, itself included: each directory, then what lies in it."""
        start = _sorting(directory)
        if itself := self.find(directory):
            yield itself
        yield from self._members("sorting > ? AND sorting < ?", start + b"\0", start + b"\1")

    def size_of(self, name: str) -> int:
        """Bytes of a file; 0 of one that is not there."""
        found = self.find(name)
        return found.size if found else 0

    def all(self) -> Iterator[Member]:
        return self._members("sorting > ?", b"")

    def open(self, member: Member) -> Source:
        """A file's content."""
        assert self._stream is not None  # noqa: S101 - it was filled
        return Content(self._stream.fileno(), self._content, member.at, member.size)

    def _read(self, source: _Gzip, content: BinaryIO) -> None:
        reader = TarReader(source, self.archive.name, described=True)
        for header in reader:
            member = self._admitted(header, content.tell())
            is_wanted = header.kind == Kind.FILE and self._wanted(member.name)
            self._require_room(header.size if is_wanted else 0)
            while is_wanted and (chunk := reader.read(CHUNK_BYTES)):
                content.write(chunk)
            self._note(member)
        source.finish()

    def _admitted(self, header: Header, at: int) -> Member:
        """The member that a header tells of. Raises UnsafeMember for one that must not be."""
        is_directory = header.kind == Kind.DIRECTORY
        name = self._safe(header.name.removesuffix("/") if is_directory else header.name)
        if header.kind not in _KINDS:
            raise self._unsafe(name, f"is {header.kind_name}")
        limit = self.archive.stat().st_size * MOST_EXPANDED
        if header.size > limit:
            why = f"{printable(name)} claims to be of {naturalsize(header.size)}. Do not load it."
            raise ForeignArchive(self.archive.name, why)
        linked = self._linked(name, header) if header.kind == Kind.HARD_LINK else None
        return Member(
            name=name,
            kind=Kind.FILE if linked else header.kind,
            at=linked.at if linked else at,
            size=linked.size if linked else header.size,
            link=header.link if header.kind == Kind.LINK else "",
            shared=linked is not None,
            mode=header.mode,
            mtime_ns=header.mtime * 1_000_000_000 + header.nanoseconds,
            uid=header.uid,
            gid=header.gid,
            user=header.user,
            group=header.group,
        )

    def _safe(self, name: str) -> str:
        """A name as it is told by all; archives that were packed by hand begin with `./`."""
        name = name.removeprefix("./") or "."
        parts = name.split("/")
        if name.startswith("/"):
            raise self._unsafe(name, "is an absolute path")
        if ".." in parts:
            raise self._unsafe(name, "leaves the archive")
        if name != "." and ("" in parts or "." in parts):
            raise self._unsafe(name, "is spelled in a way that no file is named")
        if len(name) > LONGEST_NAME:
            raise self._unsafe(name, "is longer than any path")
        return name

    def _linked(self, name: str, header: Header) -> Member:
        """The file that a hard link is another name of."""
        first = self.find(self._safe(header.link))
        if first is None or first.kind != Kind.FILE:
            why = f"is a hard link to {printable(header.link)!r}, which did not come before it,"
            raise self._unsafe(name, why)
        self._list.execute(
            "UPDATE members SET shared = 1 WHERE sorting = ?", [_sorting(first.name)]
        )
        return first

    def _require_room(self, size: int) -> None:
        """For a content here, and again for all of them where they are converted."""
        self._taken += size + ROOM_PER_MEMBER
        if self._taken - self._asked >= ASKED_EVERY:
            self._asked = self._taken
            why = f"unpacking {self.archive.name}"
            require([Need(directory=self._directory, bytes=size + self._taken, why=why)])

    def _note(self, member: Member) -> None:
        values = [getattr(member, name) for name in _COLUMNS]
        row = [os.fsencode(each) if isinstance(each, str) else each for each in values]
        try:
            self._list.execute(_INSERT, [_sorting(member.name), *row])
        except sqlite3.IntegrityError as error:
            if member.kind != Kind.DIRECTORY:
                raise self._unsafe(member.name, "comes twice") from error
        except OverflowError as error:
            raise self._unsafe(member.name, "has numbers beyond all measure") from error

    def _list_refused(self, error: sqlite3.OperationalError) -> DisketteError:
        """SQLite says by a code of its own that the disk is full."""
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return named(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self._directory)
        return StorageError(str(self._directory), str(error))

    def _members(self, condition: str, *parameters: bytes) -> Iterator[Member]:
        statement = f"{_SELECT} WHERE {condition} ORDER BY sorting"
        # Not closed by name: one that an error left half read outlives the connection.
        for row in self._list.execute(statement, parameters):
            yield _member(row)

    def _unsafe(self, name: str, why: str) -> UnsafeMember:
        return UnsafeMember(self.archive.name, printable(name), why)


def _member(row: Sequence[Any]) -> Member:
    values = [os.fsdecode(each) if isinstance(each, bytes) else each for each in row]
    named: dict[str, Any] = dict(zip(_COLUMNS, values, strict=True))
    return Member(**named)


def _sorting(name: str) -> bytes:
    """By this, what lies in a directory follows it at once."""
    return os.fsencode(name).replace(b"/", b"\0")


class _Gzip:
    """Reads a gzip file without trusting it."""

    def __init__(self, raw: BinaryIO, path: Path, tick: Tick) -> None:
        self._raw, self._path, self._tick = raw, path, tick
        self._stream = gzip.GzipFile(fileobj=raw, mode="rb")
        self._ticked = 0

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes. Raises ForeignArchive where the file is damaged or cut off."""
        try:
            chunk = self._stream.read(size)
        except EOFError as error:
            raise self._broken("it is cut off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._broken(f"it is damaged ({error})") from error
        except OSError as error:
            raise named(error, self._path) from error
        self._count()
        return chunk

    def finish(self) -> None:
        """Go on to the checksum at the end."""
        if self.read(1):
            raise self._broken("it is damaged (more bytes after the end)")

    def _count(self) -> None:
        at = self._raw.tell()
        self._tick(at - self._ticked)
        self._ticked = at

    def _broken(self, what: str) -> ForeignArchive:
        return ForeignArchive(self._path.name, f"{what}. Fetch it again or use another one.")
