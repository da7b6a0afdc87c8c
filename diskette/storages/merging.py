"""A staged tree is completed by what is live and not in it, so that its swap deletes nothing."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from diskette.core.checksum import Tick
from diskette.core.files import PRIVATE_DIRECTORY
from diskette.storages.places import is_ours

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}


def complete(staged: Path, live: Path, tick: Tick) -> None:
    """Give the staged tree every name of the live one that it lacks.

    Files get a second name, which takes no room; they are copied where that cannot be. Nothing
    is added beneath what is no directory in both trees: there the staged one is right.
    """
    for found in os.scandir(live):
        if is_ours(found.name):
            continue
        tick(0)
        target = staged / found.name
        is_directory = found.is_dir(follow_symlinks=False)
        if not os.path.lexists(target):
            if is_directory:
                _make(target, Path(found.path), tick)
            else:
                _link(Path(found.path), target)
        elif is_directory and stat.S_ISDIR(target.lstat().st_mode):
            complete(target, Path(found.path), tick)


def _make(target: Path, live: Path, tick: Tick) -> None:
    target.mkdir(mode=PRIVATE_DIRECTORY)
    complete(target, live, tick)
    _describe(target, live)


def _link(live: Path, target: Path) -> None:
    try:
        os.link(live, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(live, target, follow_symlinks=False)
        _describe(target, live)


def _describe(target: Path, live: Path) -> None:
    """Give it the owner, mode and times of the live one."""
    if os.geteuid() == 0:
        found = live.lstat()
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    shutil.copystat(live, target, follow_symlinks=False)
