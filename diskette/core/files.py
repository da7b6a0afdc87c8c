"""Files written whole or not at all, directories removed, names made printable.

Everything here works beneath open directories and follows no link, because the trees it
touches belong to people who may change them meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GZIP = b"\x1f\x8b"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def private_file(path: Path, *, synced: bool = True) -> Iterator[BinaryIO]:
    """A new file only its owner reads, removed when it is left by an error.

    `synced`: it is on the disk, not only in the memory, when this ends. What an earlier attempt
    that was cut off left under the name is replaced.
    """
    path.unlink(missing_ok=True)
    stream = os.fdopen(os.open(path, _NEW_FILE, PRIVATE_FILE), "wb")
    try:
        with stream:
            yield stream
            stream.flush()
            if synced:
                os.fsync(stream.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed as the original's archives are; no archive of ours is."""
    try:
        # A FIFO in place of an archive must not keep us waiting for its writer.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(opened).st_mode) and os.pread(opened, 2, 0) == _GZIP
    finally:
        os.close(opened)


def sync_file(path: Path) -> None:
    """Make what a file holds survive a power cut."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_directory(path: Path) -> None:
    """Make names that came or went in a directory survive a power cut."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def sync_filesystem(path: Path) -> None:
    """Make everything written so far to the disk of `path` survive a power cut.

    One call for thousands of files. Not `os.sync`, which waits for every other disk too, and
    for ever if one of them hangs; only where a system knows no better.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if sync is None:
            os.sync()
        elif sync(directory):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(directory)


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it; what has gone already is no matter.

    Links are removed, not followed; directories that forbid it are opened up. Raises OSError
    before it would cross into another filesystem.
    """
    with suppress(FileNotFoundError):
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _remove_directory(path.name, parent, os.stat(path.name, dir_fd=parent).st_dev)
        finally:
            os.close(parent)


def printable(name: str) -> str:
    """A file's name for people and JSON: what is no text, or steers a terminal, is escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _remove_directory(name: str, parent: int, device: int) -> None:
    directory = _open_up(name, parent)
    try:
        if os.fstat(directory).st_dev != device:
            raise OSError(errno.EBUSY, "another filesystem is mounted there", name)
        for child in os.listdir(directory):
            with suppress(FileNotFoundError):
                _remove_entry(child, directory, device)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=parent)


def _remove_entry(name: str, directory: int, device: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except (IsADirectoryError, PermissionError):
        # Linux says EISDIR for a directory, POSIX EPERM.
        _remove_directory(name, directory, device)


def _open_up(name: str, parent: int) -> int:
    """Open a directory so that its entries can be removed, whatever its mode says."""
    try:
        directory = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except PermissionError:
        os.chmod(name, PRIVATE_DIRECTORY, dir_fd=parent)
        directory = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    if os.fstat(directory).st_mode & PRIVATE_DIRECTORY != PRIVATE_DIRECTORY:
        os.fchmod(directory, PRIVATE_DIRECTORY)
    return directory
