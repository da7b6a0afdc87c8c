"""A staged tree is put in place. Forward only, and whatever cuts it off, repeating finishes it.

Beside: live becomes old, staged becomes live; two renames. One level down: the children of
live go to old; staged becomes arriving, which says that they all went; its children go to
live. Each state that a kill can leave says by itself what is still to be done.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from diskette.core.exceptions import StorageError
from diskette.core.files import PRIVATE_DIRECTORY, remove_tree, sync_directory
from diskette.core.space import disk_errors_named
from diskette.storages.merging import complete
from diskette.storages.places import Place, is_ours

ATTEMPTS = 5
"""To find the place free, while a site that is not stopped may write to it."""

_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_OWNERS_WRITE = 0o200


def swap(live: Path, run: str) -> None:
    """Put what this run staged where `live` is; what was there is kept until `settle`.

    May be repeated after being cut off anywhere, and does nothing once it is done. Raises
    StorageError if nothing was staged and nothing is live.
    """
    place = Place.found(live, run)
    with disk_errors_named(place.live):
        if place.inside:
            _swap_children(place)
        else:
            _swap_whole(place)


def require_staged(live: Path, run: str) -> None:
    """Raise StorageError where `swap` would find nothing to put in place."""
    place = Place.found(live, run)
    if not (place.staged.exists() or place.has_begun):
        why = "the files to replace it, which were staged beside it, are gone. Load again."
        raise StorageError(str(place.live), why)


def discard(live: Path, run: str) -> None:
    """Remove what this run staged. Raises StorageError once its swap has begun."""
    place = Place.found(live, run)
    if place.has_begun and (place.staged.exists() or place.arriving.exists()):
        why = f"run {run} has begun to replace it, which can only be finished, not undone."
        raise StorageError(str(place.live), why)
    with disk_errors_named(place.live):
        if place.staged.exists():
            # What is being removed must not be taken for a whole tree.
            remove_tree(place.staging)
            place.staged.rename(place.staging)
        remove_tree(place.staging)


def settle(live: Path, run: str, *, merging: bool = False) -> None:
    """Remove what was live before this run's swap. Raises StorageError while that is undone.

    `merging`: but for what came to it after the new tree was staged, which goes on being live.
    """
    place = Place.found(live, run)
    if place.staged.exists() or place.arriving.exists():
        why = f"run {run} has not put its files in place yet, so the old ones are kept."
        raise StorageError(str(place.live), why)
    with disk_errors_named(place.live):
        remove_tree(place.staging)
        if merging and place.old.is_dir():
            complete(place.live, place.old, lambda _: None)
        remove_tree(place.old)


def _swap_whole(place: Place) -> None:
    if not place.staged.exists():
        _require_live(place)
        return
    for _ in range(ATTEMPTS):
        if os.path.lexists(place.live):
            _set_aside(place)
        if _renamed(place.staged, place.live):
            sync_directory(place.live.parent)
            return
    why = "something writes to it all the time. Stop the site; the load then goes on by itself."
    raise StorageError(str(place.live), why)


def _require_live(place: Place) -> None:
    if place.live.exists():
        return
    kept = f" What was live before is in {place.old}." if place.old.exists() else ""
    raise StorageError(str(place.live), f"nothing is staged for it and nothing is there.{kept}")


def _set_aside(place: Place) -> None:
    try:
        _move(place.live, place.old)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        why = "has become a mount point since its new files were staged. Unmount it; the load "
        raise StorageError(str(place.live), f"{why}then goes on by itself.") from error


def _swap_children(place: Place) -> None:
    if place.staged.exists():
        place.old.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        for child in _children(place.live):
            _move(child, place.old / child.name)
        sync_directory(place.live)
        place.staged.rename(place.arriving)
    if place.arriving.exists():
        for child in _children(place.arriving):
            target = place.live / child.name
            if os.path.lexists(target):
                # Written by the site since the old children went.
                _move(target, place.old / child.name)
            _move(child, target)
        place.arriving.rmdir()
        sync_directory(place.live)


def _children(directory: Path) -> Iterator[Path]:
    return (child for child in list(directory.iterdir()) if not is_ours(child.name))


def _renamed(source: Path, target: Path) -> bool:
    """False if the target came to be meanwhile."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _move(source: Path, target: Path) -> None:
    """Rename; where a directory cannot be renamed as a whole, move what is in it.

    That is so when an earlier move was cut off, or something came to be at the target, and on
    overlay filesystems, which refuse to rename directories of their lower layers.
    """
    if not os.path.lexists(target):
        try:
            _rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_piecewise(source, target)
    elif source.is_dir() and target.is_dir() and not source.is_symlink():
        _move_piecewise(source, target)
    else:
        _move(source, _free(target))


def _rename(source: Path, target: Path) -> None:
    """Rename, though the owner forbade himself to write to the directory that moves."""
    try:
        source.rename(target)
    except PermissionError:
        mode = source.lstat().st_mode
        if not stat.S_ISDIR(mode) or mode & _OWNERS_WRITE:
            raise
        source.chmod(mode | _OWNERS_WRITE)
        source.rename(target)
        target.chmod(mode)


def _move_piecewise(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        target.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        for child in list(source.iterdir()):
            _move(child, target / child.name)
        shutil.copystat(source, target)
        source.rmdir()
    else:
        copy = target.with_name(f"{target.name}.copy")
        shutil.copy2(source, copy, follow_symlinks=False)
        copy.replace(target)
        source.unlink()


def _free(path: Path) -> Path:
    number = 2
    while os.path.lexists(candidate := path.with_name(f"{path.name}~{number}")):
        number += 1
    return candidate
