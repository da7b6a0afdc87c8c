"""Room on disks: asked for before a run begins, and named when it runs out in the middle."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import humanize

from diskette.core.exceptions import DisketteError, InsufficientSpace, StorageError

FULL = {errno.ENOSPC, errno.EDQUOT}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Room to be taken in a directory, which need not exist yet."""

    directory: Path
    bytes: int
    why: str
    """What for, as a noun: `the archive`."""
    files: int = 0
    """To be made there, where they are so many that it matters."""


def free(directory: Path) -> int:
    """Bytes an ordinary user may still write there, or where it would be made."""
    found = os.statvfs(nearest_existing(directory))
    return found.f_bavail * found.f_frsize


def taken_by(directory: Path, *, bytes_: int, files: int) -> int:
    """The room that so many files take there at most, each of whole blocks."""
    return bytes_ + files * os.statvfs(nearest_existing(directory)).f_frsize


def nearest_existing(directory: Path) -> Path:
    """The directory itself, or the first of its parents that exists."""
    return next(each for each in (directory, *directory.absolute().parents) if each.is_dir())


def require(needs: Sequence[Need]) -> None:
    """Raise InsufficientSpace unless each filesystem has room for the sum asked of it."""
    by_filesystem = defaultdict(list)
    for need in needs:
        by_filesystem[nearest_existing(need.directory).stat().st_dev].append(need)
    lacking = [error for each in by_filesystem.values() if (error := _shortfall(each))]
    if lacking:
        first, *others = sorted(lacking, key=lambda error: error.free - error.needed)
        why = "; ".join((first.why, *map(_also, others)))
        raise InsufficientSpace(first.directory, first.needed, first.free, why)


@contextmanager
def disk_errors_named(directory: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn what the operating system refuses into an error that says where, why and the cure.

    `needed` is how many bytes were to be written.
    """
    try:
        yield
    except OSError as error:
        raise named(error, directory, needed=needed) from error


def named(error: OSError, directory: Path, *, needed: int = 0) -> DisketteError:
    """InsufficientSpace for a full disk, else StorageError."""
    why = error.strerror or repr(error)
    if error.errno in FULL:
        return _full(error, directory, needed)
    if error.errno in FORBIDDEN:
        why += ". Let the user that Diskette runs as read and write there."
    return StorageError(str(error.filename or directory), why)


def _shortfall(needs: Sequence[Need]) -> InsufficientSpace | None:
    directory, needed = needs[0].directory, sum(need.bytes for need in needs)
    available, files = free(directory), sum(need.files for need in needs)
    crowded = _crowded(directory, files)
    if needed <= available and not crowded:
        return None
    whys = [f"{need.why} {humanize.naturalsize(need.bytes)}" for need in needs]
    why = ", ".join([*whys, crowded] if crowded else whys)
    return InsufficientSpace(str(directory), needed, available, why)


def _crowded(directory: Path, files: int) -> str:
    """What to say of a filesystem whose inodes do not suffice; empty if they do."""
    found = os.statvfs(nearest_existing(directory))
    if not found.f_files or files <= found.f_favail:
        return ""
    return f"{files:,} files, where {found.f_favail:,} more can be made: so few inodes are left"


def _also(error: InsufficientSpace) -> str:
    lacking = humanize.naturalsize(error.needed - error.free)
    return f"{error.directory} lacks another {lacking} for {error.why}"


def _full(error: OSError, directory: Path, needed: int) -> InsufficientSpace:
    found = os.statvfs(nearest_existing(directory))
    available = found.f_bavail * found.f_frsize
    why = ""
    if error.errno == errno.EDQUOT:
        why = "the user's quota is used up"
    elif found.f_files and not found.f_favail:
        why = "no more files can be made: its inodes are used up"
    return InsufficientSpace(str(directory), needed, available, why)
