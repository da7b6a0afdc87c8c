"""A new tree is completed by what the old one has besides, so that its swap deletes nothing."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from diskette.core.checksum import Tick
from diskette.core.files import PRIVATE_DIRECTORY
from diskette.storages.places import is_ours

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}


def complete(new: Path, old: Path, tick: Tick) -> None:
    """Give the new tree every name of the old one that it lacks.

    Files get a second name, which takes no room; they are copied where that cannot be. Nothing
    is added beneath what is no directory in both trees: there the new one is right. A directory
    that is in both stays as old as it is in the new one.
    """
    before = new.stat()
    for found in os.scandir(old):
        if is_ours(found.name):
            continue
        tick(0)
        target = new / found.name
        is_directory = found.is_dir(follow_symlinks=False)
        if not os.path.lexists(target):
            if is_directory:
                _make(target, Path(found.path), tick)
            else:
                _link(Path(found.path), target)
        elif is_directory and stat.S_ISDIR(target.lstat().st_mode):
            complete(target, Path(found.path), tick)
    if new.stat().st_mtime_ns != before.st_mtime_ns:
        with suppress(PermissionError):  # a mount point may be another's
            os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))


def _make(target: Path, old: Path, tick: Tick) -> None:
    target.mkdir(mode=PRIVATE_DIRECTORY)
    complete(target, old, tick)
    _describe(target, old)


def _link(old: Path, target: Path) -> None:
    try:
        os.link(old, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(old, target, follow_symlinks=False)
        _describe(target, old)


def _describe(target: Path, old: Path) -> None:
    """Give it the owner, mode and times of the old one."""
    if os.geteuid() == 0:
        found = old.lstat()
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    shutil.copystat(old, target, follow_symlinks=False)
