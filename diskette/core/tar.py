"""Headers of tar files, written plainly and read strictly.

Only what Diskette writes is read: the ustar and GNU formats of regular files, directories,
links, sparse files, long names and large numbers (tar(5); GNU tar manual, "Basic Tar Format").
Python's tarfile is not used for reading: what it tolerates and how it fails differs between
versions, and a member may mean one thing to it and another to `tar`. Pax headers are such
members; they are only interpreted for a caller who asks for them, and else named, to be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from struct import Struct
from typing import Final
from zlib import adler32

from diskette.core import pax
from diskette.core.checksum import Source
from diskette.core.exceptions import CutOff, ForeignArchive

BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
RECORD_BYTES = 20 * BLOCK_BYTES
"""To a multiple of this, tar programs fill a file's end with zeros."""

LONGEST_NAME = 1 << 14
"""Bytes of a path: four times what Linux allows."""

MOST_EXTENTS = 1000
"""Of a sparse file."""

Extents = tuple[tuple[int, int], ...]
"""Offset and length of each stretch of a sparse file's data, in order; holes lie between."""

_GNU_MAGIC: Final = b"ustar  \0"
_POSIX_MAGIC: Final = b"ustar\x0000"
_LONG_NAME: Final = "L"
_LONG_LINK: Final = "K"
_LARGEST: Final = (1 << 63) - 1
_NAME_BYTES: Final = 100
_BLOCK: Final = Struct("100s 8s 8s 8s 12s 12s 8s s 100s 8s 32s 32s 57x 96s s 12s 17x")
"""The last three are of sparse files alone."""
_EXTENSION: Final = Struct("504s s 7x")
_FIRST_EXTENTS: Final = 4
_MORE_EXTENTS: Final = 21
_EXTENT_BYTES: Final = 24
_CHECKSUM: Final = slice(148, 156)
_LARGE: Final = b"\x80"
_NEGATIVE: Final = b"\xff"


class Kind(StrEnum):
    """What a member is, by tar's own letter; any other letter is kept as it was read."""

    FILE = "0"
    HARD_LINK = "1"
    LINK = "2"
    DIRECTORY = "5"
    SPARSE = "S"
    PAX = "x"


KIND_NAMES = {
    Kind.HARD_LINK: "a hard link",
    Kind.LINK: "a symbolic link",
    Kind.DIRECTORY: "a directory",
    "3": "a device",
    "4": "a device",
    "6": "a FIFO",
    Kind.SPARSE: "a sparse file",
    Kind.PAX: "a pax header",
    "g": "a pax header",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One member's description. Text is UTF-8 with surrogate escapes for other bytes."""

    name: str
    kind: str = Kind.FILE
    size: int = 0
    mode: int = 0o600
    mtime: int = 0
    """Whole seconds since 1970."""
    nanoseconds: int = 0
    """Beyond them; only pax headers tell."""
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    link: str = ""
    """Where a link points, or the earlier member that a hard link is the same file as."""
    extents: Extents = ()
    """Of a sparse file; its `size` is that of these together."""
    real_size: int = 0
    """Bytes of a sparse file, holes included."""

    @property
    def kind_name(self) -> str:
        return KIND_NAMES.get(self.kind, f"of the unknown kind {self.kind!r}")

    def to_bytes(self) -> bytes:
        """One block, after the blocks of a long name or link."""
        name, link = _encoded(self.name), _encoded(self.link)
        map_, *more = self._map() if self.kind == Kind.SPARSE else [b""]
        blocks = [_long(letter, text) for letter, text in ((_LONG_NAME, name), (_LONG_LINK, link))]
        block = _BLOCK.pack(
            name,
            *(_number(number, 8) for number in (self.mode, self.uid, self.gid)),
            *(_number(number, 12) for number in (self.size, self.mtime)),
            b" " * 8,
            self.kind.encode("latin-1"),
            link,
            _GNU_MAGIC,
            *(_encoded(word)[:31] for word in (self.user, self.group)),
            map_,
            b"\1" if more else b"",
            _number(self.real_size, 12) if self.kind == Kind.SPARSE else b"",
        )
        ready = (block[: _CHECKSUM.start], _spelled(_sum(block)), block[_CHECKSUM.stop :])
        return b"".join((*blocks, *ready, *_extensions(more)))

    def checked_sparse(self) -> Header:
        """Itself. Raises ValueError unless its extents are in order, and as long as they say."""
        end = 0
        for start, length in self.extents:
            if start < end or length <= 0:
                raise ValueError("a sparse file whose parts overlap")
            end = start + length
        if not end <= self.real_size <= _LARGEST or len(self.extents) > MOST_EXTENTS:
            raise ValueError("a sparse file of an impossible size")
        if sum(length for _, length in self.extents) != self.size:
            raise ValueError("a sparse file of another size than its parts")
        return self

    def _map(self) -> list[bytes]:
        """What the header itself holds of a sparse file's extents, and what its extensions do."""
        extents = list(self.extents)
        if not extents or sum(extents[-1]) < self.real_size:
            extents.append((self.real_size, 0))  # lets `tar` make the hole at the end
        texts = [_number(start, 12) + _number(length, 12) for start, length in extents]
        rest = range(_FIRST_EXTENTS, len(texts), _MORE_EXTENTS)
        parts = [texts[:_FIRST_EXTENTS], *(texts[at : at + _MORE_EXTENTS] for at in rest)]
        return [b"".join(part) for part in parts]


class TarReader:
    """Members in order. `archive` names the file in errors.

    `sparse`: maps of sparse files are read too; `described`: pax headers of members are. Else
    these, as all that is unknown, are named for the caller to refuse.
    """

    def __init__(
        self, source: Source, archive: str, *, sparse: bool = False, described: bool = False
    ) -> None:
        self._source = source
        self._sparse, self._knows_pax = sparse, described
        self._archive = archive
        self.offset = 0
        """Bytes read so far."""
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Header]:
        """Each header, once the content before it was read or skipped.

        Raises ForeignArchive where the file is cut off or damaged, and at its end if anything
        but zeros follows.
        """
        while header := self._next():
            yield header

    def read(self, size: int) -> bytes:
        """At most so many bytes of the content; none at its end."""
        chunk = self._exactly(min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def skipped(self) -> int:
        """Leave the rest of the content to the caller to seek past; how many bytes that is."""
        left = self._left + self._padding
        self.offset += left
        self._left = self._padding = 0
        return left

    def _next(self) -> Header | None:
        while self._left:
            self.read(1 << 20)
        self._pass_padding()
        long: dict[str, str] = {}
        records: pax.Records = {}
        while header := self._header():
            self._expect(header)
            if header.kind in (_LONG_NAME, _LONG_LINK):
                long[header.kind] = self._long_text(header, long)
            elif header.kind == Kind.PAX and self._knows_pax and not records:
                records = self._records(header)
            elif not long and not records:
                return header
            else:
                return self._described(header, long, records)
        if long or records:
            raise self._damaged("a long name without its member")
        self._require_end()
        return None

    def _expect(self, header: Header) -> None:
        self._left, self._padding = header.size, -header.size % BLOCK_BYTES

    def _described(self, header: Header, long: dict[str, str], records: pax.Records) -> Header:
        """The header as those before it complete it."""
        name, link = long.get(_LONG_NAME, header.name), long.get(_LONG_LINK, header.link)
        header = replace(header, name=name, link=link)
        if records:
            try:
                header = _sound(replace(header, **pax.described(records)))
            except ValueError as error:
                raise self._damaged(str(error)) from error
            self._expect(header)
        return header

    def _records(self, header: Header) -> pax.Records:
        if not 0 < header.size <= pax.LONGEST:
            raise self._damaged("an extended header of an impossible length")
        try:
            records = pax.parse(self.read(header.size))
        except ValueError as error:
            raise self._damaged(str(error)) from error
        self._pass_padding()
        return records

    def _header(self) -> Header | None:
        block = self._exactly(BLOCK_BYTES)
        if not any(block):
            return None
        try:
            header = _parse(block)
            mapped = self._sparse and header.kind == Kind.SPARSE
            return self._with_map(header, block) if mapped else header
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _with_map(self, header: Header, block: bytes) -> Header:
        """With the map of its extents. Raises ValueError for one that contradicts itself."""
        text, goes_on, real_size = _BLOCK.unpack(block)[-3:]
        while goes_on != b"\0" and len(text) <= MOST_EXTENTS * _EXTENT_BYTES:
            more, goes_on = _EXTENSION.unpack(self._exactly(BLOCK_BYTES))
            text += more
        return replace(
            header, real_size=_parsed_number(real_size), extents=_extents(text)
        ).checked_sparse()

    def _long_text(self, header: Header, before: dict[str, str]) -> str:
        if header.kind in before or not 0 < header.size <= LONGEST_NAME:
            raise self._damaged("a name of an impossible length")
        text = self.read(header.size).split(b"\0")[0]
        self._pass_padding()
        return _decoded(text)

    def _pass_padding(self) -> None:
        padding, self._padding = self._padding, 0
        if any(self._exactly(padding)):
            raise self._damaged("something between two members")

    def _require_end(self) -> None:
        if any(self._exactly(BLOCK_BYTES)):
            raise self._damaged("a member after the end")
        rest = self._source.read(RECORD_BYTES)
        if any(rest) or len(rest) == RECORD_BYTES:
            raise self._damaged("more bytes after the end")

    def _exactly(self, size: int) -> bytes:
        chunks, left = [], size
        while left:
            if not (chunk := self._source.read(left)):
                why = (
                    f"it is cut off: it ends after {self.offset:,} bytes, in the middle. "
                    "Fetch it again or use another one."
                )
                raise CutOff(self._archive, why)
            self.offset += len(chunk)
            left -= len(chunk)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _damaged(self, what: str) -> ForeignArchive:
        why = f"it is damaged at byte {self.offset:,} ({what}). Fetch it again or use another one."
        return ForeignArchive(self._archive, why)


def padding(size: int) -> bytes:
    """The zeros that follow a content of so many bytes."""
    return bytes(-size % BLOCK_BYTES)


def _parse(block: bytes) -> Header:
    """One header block. Raises ValueError, saying what is wrong with it."""
    # Spelled as all tar programs do, for every byte has to count.
    if block[_CHECKSUM] != _spelled(_sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20):
        raise ValueError("no header, or one with a wrong checksum")
    magic = block[257:265]
    if magic not in (_GNU_MAGIC, _POSIX_MAGIC):
        raise ValueError("a header of an unknown format")
    name = _text(block[:_NAME_BYTES])
    if magic == _POSIX_MAGIC and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    header = Header(
        name=name,
        kind=_kind(block[156:157]),
        size=_parsed_number(block[124:136]),
        mode=_parsed_number(block[100:108]) & 0o7777,
        mtime=_parsed_number(block[136:148]),
        uid=_parsed_number(block[108:116]),
        gid=_parsed_number(block[116:124]),
        user=_text(block[265:297]),
        group=_text(block[297:329]),
        link=_text(block[157:257]),
    )
    return _sound(header)


def _sound(header: Header) -> Header:
    """Itself. Raises ValueError for what no member is like."""
    if not header.name or not 0 <= header.size <= _LARGEST:
        raise ValueError("a member without a name or of an impossible size")
    if header.size and header.kind in "123456":
        raise ValueError(f"{header.kind_name} that has a content")
    return header


def _sum(block: bytes) -> int:
    """Of all bytes, ten times as fast as `sum`: Adler-32 has that of up to 256 bytes, plus one."""
    half = BLOCK_BYTES // 2
    return (adler32(block[:half]) & 0xFFFF) + (adler32(block[half:]) & 0xFFFF) - 2


def _spelled(checksum: int) -> bytes:
    return b"%06o\0 " % checksum


def _kind(letter: bytes) -> str:
    # Before POSIX a regular file bore no letter.
    return Kind.FILE if letter == b"\0" else letter.decode("latin-1")


def _number(number: int, width: int) -> bytes:
    """Octal digits, or two's complement behind a set bit where they do not suffice (GNU)."""
    if 0 <= number < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, number)
    return (number + (1 << (8 * width - 1)) * (1 if number >= 0 else 2)).to_bytes(width, "big")


def _parsed_number(field: bytes) -> int:
    if field.startswith(_LARGE):
        return int.from_bytes(field[1:], "big")
    if field.startswith(_NEGATIVE):
        return int.from_bytes(field, "big", signed=True)
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if digits.strip(b"01234567"):
        raise ValueError("a number that is none")
    return int(digits or b"0", 8)


def _extensions(maps: list[bytes]) -> list[bytes]:
    return [
        _EXTENSION.pack(text, b"" if number == len(maps) else b"\1")
        for number, text in enumerate(maps, 1)
    ]


def _extents(text: bytes) -> Extents:
    """Up to the first that is left empty, and without the empty one that marks the file's end."""
    starts = range(0, len(text), _EXTENT_BYTES)
    fields = [(text[at : at + 12], text[at + 12 : at + _EXTENT_BYTES]) for at in starts]
    numbers = [(_parsed_number(s), _parsed_number(n)) for s, n in fields if n.strip(b"\0")]
    return tuple(numbers[:-1] if numbers and not numbers[-1][1] else numbers)


def _long(letter: str, text: bytes) -> bytes:
    if len(text) <= _NAME_BYTES:
        return b""
    content = text + b"\0"
    header = Header(name="././@LongLink", kind=letter, size=len(content), mode=0)
    return header.to_bytes() + content + padding(len(content))


def _text(field: bytes) -> str:
    return _decoded(field.split(b"\0", 1)[0])


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
