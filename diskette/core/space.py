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
ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ESTALE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Room to be taken in a directory, which need not exist yet."""

    directory: Path | None
    """None: on a server's disk, which is not seen here, so that it is only told."""
    bytes: int
    why: str
    """What for, as a noun: `the archive`."""
    place: str = ""
    """As reports name it: `workspace`, `destination`, `database`, `media`."""
    files: int = 0
    """To be made there, where they are so many that it matters."""


def free(directory: Path) -> int:
    """Bytes an ordinary user may still write there, or where it would be made."""
    found = os.statvfs(nearest_existing(directory))
    return found.f_bavail * found.f_frsize


def taken_by(directory: Path, *, bytes_: int, files: int) -> int:
    """The room that so many files are likely to take there, each of whole blocks."""
    block = os.statvfs(nearest_existing(directory)).f_frsize
    return max(files * block, bytes_ + files * block // 2)


def taken_by_file(path: Path) -> int:
    """The room that a file takes; none if it is not there."""
    try:
        return path.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:
        return 0


def taken_in(directory: Path) -> int:
    """The room that all files in a directory take; what goes meanwhile is no matter."""
    return sum(
        taken_by_file(Path(parent, name))
        for parent, _, names in os.walk(directory)
        for name in names
    )


def nearest_existing(directory: Path) -> Path:
    """The directory itself, or the first of its parents that exists."""
    return next(each for each in (directory, *directory.absolute().parents) if each.is_dir())


def require(*phases: Sequence[Need]) -> None:
    """Raise InsufficientSpace unless each filesystem has room for the sum asked of it at a time.

    A phase is what is needed at the same time: what one phase took, a later one may use.
    """
    worst: dict[int, InsufficientSpace] = {}
    for phase in phases:
        for filesystem, needs in _by_filesystem(phase).items():
            error = _shortfall(needs)
            if error and (filesystem not in worst or error.needed > worst[filesystem].needed):
                worst[filesystem] = error
    if lacking := list(worst.values()):
        first, *others = sorted(lacking, key=lambda error: error.free - error.needed)
        why = "; ".join((first.why, *map(_also, others)))
        raise InsufficientSpace(first.directory, first.needed, first.free, why)


def by_place(*phases: Sequence[Need]) -> dict[str, int]:
    """The most bytes that are needed at a time in each place."""
    most: dict[str, int] = {}
    for phase in phases:
        for place in dict.fromkeys(need.place for need in phase):
            asked = sum(need.bytes for need in phase if need.place == place)
            most[place] = max(asked, most.get(place, 0))
    return most


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
    elif error.errno in ABSENT:
        why += ". Make it or mount it, or correct the setting or option that names it."
    return StorageError(str(error.filename or directory), why)


def _by_filesystem(needs: Sequence[Need]) -> dict[int, list[tuple[Path, Need]]]:
    found = defaultdict(list)
    for need in needs:
        if need.directory is not None:
            filesystem = nearest_existing(need.directory).stat().st_dev
            found[filesystem].append((need.directory, need))
    return found


def _shortfall(placed: Sequence[tuple[Path, Need]]) -> InsufficientSpace | None:
    (directory, _), needs = placed[0], [need for _, need in placed]
    needed = sum(need.bytes for need in needs)
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
