"""The names in a storage, one by one, without following a link.

Every name is looked up in a directory that is already open, so nobody who may write to the
storage can lead the walk out of it. Directories come before what is in them, and the names
of one directory in order. Of the directories on the way, so many names at a time are kept in
memory; where there are more, only these are in order.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from diskette.core.exceptions import StorageError
from diskette.core.files import DIRECTORY_FLAGS
from diskette.storages.index import DEEPEST, ROOT
from diskette.storages.places import is_ours

BATCH_NAMES = 1 << 16
READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
"""What the system says of a name that is no longer what it was when it was listed."""

Note = Callable[[str, OSError], None]
"""Told the path of what could not be read, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A name, and the open directory that has it."""

    path: str
    name: str
    directory: int
    status: os.stat_result


class _Names:
    """Of an open directory. Raises OSError if it cannot be listed."""

    def __init__(self, directory: int) -> None:
        self._entries = os.scandir(directory)
        self._batch = self._next_batch()

    def next(self) -> str | None:
        """The next name; None after the last."""
        if (name := next(self._batch, None)) is None:
            self._batch = self._next_batch()
            name = next(self._batch, None)
        return name

    def close(self) -> None:
        self._entries.close()

    def _next_batch(self) -> Iterator[str]:
        return iter(sorted(entry.name for entry in islice(self._entries, BATCH_NAMES)))


@dataclass(slots=True)
class _Level:
    directory: int
    prefix: str
    names: _Names

    def close(self) -> None:
        self.names.close()
        os.close(self.directory)


class Excludes:
    """What DISKETTE_STORAGES_EXCLUDES leaves out.

    A pattern is matched with the path of a file relative to its storage, and `*` matches `/`
    too. A directory is passed over where everything in it would match: the pattern matches its
    own path and ends in `*`.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        whole = [pattern for pattern in patterns if pattern.endswith("*")]
        self._files = _any_of(patterns)
        self._directories = _any_of(whole)

    def matches(self, path: str, *, directory: bool) -> bool:
        pattern = self._directories if directory else self._files
        return pattern is not None and pattern.match(path) is not None


def walk(root: Path, excludes: Excludes, note: Note) -> Iterator[Found]:
    """Every name in `root`, `root` itself first. Raises StorageError if it cannot be read."""
    try:
        # The storage itself may be a link to where its files are.
        top = os.open(root, DIRECTORY_FLAGS & ~os.O_NOFOLLOW)
        names = _Names(top)
    except OSError as error:
        why = f"the storage cannot be read ({error.strerror}). Is it there, and may Diskette?"
        raise StorageError(str(root), why) from error
    yield from _walk([_Level(top, "", names)], excludes, note)


def _walk(levels: list[_Level], excludes: Excludes, note: Note) -> Iterator[Found]:
    try:
        top = levels[0].directory
        yield Found(path=ROOT, name=ROOT, directory=top, status=os.fstat(top))
        while levels:
            name = _next_name(levels[-1], note)
            if name is None:
                levels.pop().close()
            elif found := _look(levels[-1], name, excludes, note):
                below = _below(found, len(levels), note)
                if below is not None or not stat.S_ISDIR(found.status.st_mode):
                    yield found
                if below is not None:
                    levels.append(below)
    finally:
        for level in levels:
            level.close()


def _next_name(level: _Level, note: Note) -> str | None:
    try:
        return level.names.next()
    except OSError as error:
        note(level.prefix.rstrip("/") or ROOT, error)
        return None


def _look(level: _Level, name: str, excludes: Excludes, note: Note) -> Found | None:
    path = level.prefix + name
    if is_ours(name):
        return None
    try:
        status = os.stat(name, dir_fd=level.directory, follow_symlinks=False)
    except OSError as error:
        note(path, error)
        return None
    if excludes.matches(path, directory=stat.S_ISDIR(status.st_mode)):
        return None
    return Found(path=path, name=name, directory=level.directory, status=status)


def _below(found: Found, depth: int, note: Note) -> _Level | None:
    """The directory opened, with its names. None for what is none, or cannot be read."""
    if not stat.S_ISDIR(found.status.st_mode):
        return None
    if depth >= DEEPEST:
        note(found.path, OSError(errno.EMLINK, f"more than {DEEPEST} directories deep"))
        return None
    try:
        directory = os.open(found.name, DIRECTORY_FLAGS, dir_fd=found.directory)
    except OSError as error:
        note(found.path, error)
        return None
    try:
        names = _Names(directory)
    except OSError as error:
        os.close(directory)
        note(found.path, error)
        return None
    return _Level(directory, found.path + "/", names)


def _any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(os.path.normcase(each)) for each in patterns))
