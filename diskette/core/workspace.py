"""A run's private directory, and those that dead runs left."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from diskette.core.exceptions import StorageError
from diskette.core.files import PRIVATE_DIRECTORY, remove_tree
from diskette.core.space import disk_errors_named

MARKER = ".diskette-workspace"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SIGNS_OF_LIFE = 4
"""In each lease."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directory that holds one run's parts, under the root that all workers share."""

    root: Path
    run: str

    def __post_init__(self) -> None:
        if not RUN_ID.fullmatch(self.run):
            raise ValueError(f"no run is named {self.run!r}")

    @property
    def path(self) -> Path:
        return self.root / self.run

    def create(self) -> None:
        """Make it, or find it made by an earlier step. Raises StorageError if it is another's."""
        with disk_errors_named(self.path):
            self.root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.path.mkdir(mode=PRIVATE_DIRECTORY)
            self._require_ours()
            self.path.chmod(PRIVATE_DIRECTORY)
            (self.path / MARKER).touch(mode=0o600)

    def remove(self) -> None:
        """Remove it with all in it, and do nothing when it is gone.

        The marker goes last, so that what a cut-off removal leaves is still known as ours.
        """
        if not self.path.is_symlink() and not self.path.exists():
            return
        self._require_ours()
        with disk_errors_named(self.path), suppress(FileNotFoundError):
            for child in self.path.iterdir():
                if child.name != MARKER:
                    _remove(child)
            (self.path / MARKER).unlink(missing_ok=True)
            self.path.rmdir()

    def _require_ours(self) -> None:
        if not (_is_marked(self.path) or _is_empty(self.path)):
            why = "is in the way of a run's workspace and was not made by Diskette. Move it away."
            raise StorageError(str(self.path), why)


@contextmanager
def borrowed(root: Path, lease: timedelta) -> Iterator[Path]:
    """A workspace of no run that gives signs of life: what gives none, a sweep takes for dead.

    `lease`: how long a sweep lets one lie that gives none.
    """
    workspace, ended = Workspace(root, str(uuid4())), threading.Event()
    living = threading.Thread(target=_live, args=(workspace.path, lease, ended), daemon=True)
    workspace.create()
    living.start()
    try:
        yield workspace.path
    finally:
        ended.set()
        living.join()
        workspace.remove()


def orphans(
    root: Path, live: AbstractSet[str], grace: timedelta, *, now: float | None = None
) -> list[Workspace]:
    """Workspaces of no living run, untouched for `grace`. Only what Diskette made is listed."""
    if not root.is_dir():
        return []
    before = (time.time() if now is None else now) - grace.total_seconds()
    return [
        Workspace(root, path.name)
        for path in sorted(root.iterdir())
        if path.name not in live and _is_ours(path) and _touched_at(path) < before
    ]


def _live(directory: Path, lease: timedelta, ended: threading.Event) -> None:
    while not ended.wait(lease.total_seconds() / SIGNS_OF_LIFE):
        with suppress(OSError):  # whoever works there will meet it, too
            os.utime(directory)


def _is_ours(path: Path) -> bool:
    """Marked, or what a making or a removal that was cut off leaves: a run's empty directory."""
    if _is_marked(path):
        return RUN_ID.fullmatch(path.name) is not None
    return UUID.fullmatch(path.name) is not None and _is_empty(path)


def _is_marked(path: Path) -> bool:
    return not path.is_symlink() and (path / MARKER).is_file()


def _is_empty(path: Path) -> bool:
    return not path.is_symlink() and path.is_dir() and not any(path.iterdir())


def _touched_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
