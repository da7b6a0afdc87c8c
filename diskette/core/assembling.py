"""Parts become one archive, and go as they are taken in: never is there room for both.

The archive is laid out first, with holes where the parts belong. Then each part is moved from
its end to its beginning: a piece is copied to its place, and cut off the part. So a part's
size says what of it is still to be moved, and whoever comes after a process that was killed
goes on there, on every filesystem that can cut a file. Pieces are not synced one by one:
after a power cut reading the archive back finds what is missing, and the dump has failed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import humanize

from diskette.core.archive import LARGEST_MANIFEST, SUMS_NAME, ArchiveReader, sums_of, wrong_size
from diskette.core.checksum import Tick, uncounted
from diskette.core.exceptions import (
    ArchiveError,
    ForeignArchive,
    InsufficientSpace,
    MemberMissing,
)
from diskette.core.files import private_file
from diskette.core.manifest import MANIFEST_NAME, Manifest, MemberEntry
from diskette.core.space import disk_errors_named
from diskette.core.tar import BLOCK_BYTES, END, Header, padding

SHARE = 32
"""A piece is so small a share of its part, for that much is there twice."""
SMALLEST_PIECE, LARGEST_PIECE = 1 << 18, 1 << 23

_NO_SENDFILE = {errno.ENOTSOCK, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""What systems say that only send to sockets, and filesystems that cannot."""


def write_archive(
    target: Path, manifest: Manifest, members: Mapping[str, Path], tick: Tick = uncounted
) -> None:
    """Move the members, in the manifest's order, into one private file; the parts are left empty.

    `members` has the file of each name. Their digests are not looked at: `ArchiveReader.verify`
    has to, for it sees what became of them. Nor is the file synced to the disk (`sync_file`),
    which takes no time of its own beside that. Where an earlier call with the same members was
    cut off, this one goes on; the first one's manifest holds.

    Raises MemberMissing or ForeignArchive for a part that is not of the size promised, and
    InsufficientSpace; then nothing is left of the archive. What another error, or a stop, leaves
    is for the next call.
    """
    raw = manifest.to_bytes()
    if len(raw) > LARGEST_MANIFEST:
        raise ArchiveError(target.name, f"its manifest takes {humanize.naturalsize(len(raw))}.")
    needed = len(raw) + sum(2 * BLOCK_BYTES + each.bytes for each in manifest.members)
    try:
        with disk_errors_named(target.parent, needed=needed):
            if not _is_begun(target, manifest):
                _lay_out(target, manifest, raw, members)
            _move_parts(target, members, tick)
    except InsufficientSpace:
        target.unlink(missing_ok=True)
        raise


def piece_bytes(part: int) -> int:
    """How much of a part of so many bytes is there twice, while it is moved."""
    return min(max(part // SHARE, SMALLEST_PIECE), LARGEST_PIECE, part)


def draft_of(target: Path) -> Path:
    """Where an archive is laid out. While nothing but this is there, no part was touched."""
    return target.with_name(f"{target.name}.new")


def _is_begun(target: Path, manifest: Manifest) -> bool:
    try:
        with ArchiveReader(target) as reader:
            return reader.manifest.members == manifest.members
    except ArchiveError:
        return False


def _lay_out(target: Path, manifest: Manifest, raw: bytes, members: Mapping[str, Path]) -> None:
    """Everything but the members' contents, under the archive's name at once."""
    draft, mtime = draft_of(target), int(manifest.instant.timestamp())
    with private_file(draft, synced=False) as stream:
        _write_text(MANIFEST_NAME, raw, mtime, stream)
        for member in manifest.members:
            _require_whole(member, members, target.name)
            stream.write(Header(name=member.name, size=member.bytes, mtime=mtime).to_bytes())
            stream.seek(member.bytes, os.SEEK_CUR)
            stream.write(padding(member.bytes))
        _write_text(SUMS_NAME, sums_of(manifest, raw), mtime, stream)
        stream.write(END)
    draft.replace(target)


def _write_text(name: str, text: bytes, mtime: int, target: BinaryIO) -> None:
    header = Header(name=name, size=len(text), mtime=mtime)
    target.write(header.to_bytes() + text + padding(len(text)))


def _require_whole(member: MemberEntry, members: Mapping[str, Path], archive: str) -> None:
    if member.name not in members:
        raise MemberMissing(archive, member.name)
    size = members[member.name].stat().st_size
    if size != member.bytes:
        raise ForeignArchive(archive, wrong_size(member, size))


def _move_parts(target: Path, members: Mapping[str, Path], tick: Tick) -> None:
    with ArchiveReader(target) as reader, target.open("r+b", buffering=0) as archive:
        places = reader.places()
        for member in reader.manifest.members:
            with members[member.name].open("r+b", buffering=0) as part:
                left = os.fstat(part.fileno()).st_size
                tick(member.bytes - left)
                _move(part.fileno(), left, archive.fileno(), places[member.name], tick)


def _move(part: int, left: int, archive: int, place: int, tick: Tick) -> None:
    size = piece_bytes(left)
    while left:
        start = max(0, left - size)
        _copy(part, start, left - start, archive, place + start)
        os.ftruncate(part, start)
        tick(left - start)
        left = start


def _copy(source: int, start: int, size: int, target: int, place: int) -> None:
    """Copy a piece of a file without its bytes passing through this process, where that can be."""
    os.lseek(target, place, os.SEEK_SET)
    end = start + size
    while start < end:
        try:
            copied = os.sendfile(target, source, start, end - start)
        except OSError as error:
            if error.errno not in _NO_SENDFILE:
                raise
            copied = os.write(target, os.pread(source, end - start, start))
        if not copied:
            raise OSError(errno.EIO, "a part ended before its end")
        start += copied
