"""Where a tree is staged and where the old one waits, so that a rename puts it in place.

Beside the live directory: `.media.diskette-<run>.staged`. Where that directory cannot be
renamed, because it is a mount point or its parent must not be written, one level down:
`media/.diskette-<run>.staged`, and its children are moved instead. What these names hold is
Diskette's: it is never collected, and no archive may bring it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from diskette.core.exceptions import StorageError
from diskette.core.workspace import RUN_ID

MOUNTS = Path("/proc/self/mountinfo")
_OURS = re.compile(r"\.(.+\.)?diskette-[A-Za-z0-9_-]+\.(staging|staged|arriving|old)")
_EFFECTIVE = os.access in os.supports_effective_ids
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The directories of one load of one storage."""

    live: Path
    """Where links lead, so that a storage which is a link stays one."""
    run: str
    inside: bool

    @classmethod
    def for_staging(cls, live: Path, run: str) -> Self:
        """Raises StorageError where no tree could be put in place."""
        found = cls.found(live, run)
        if found.has_begun:
            return found
        _require_replaceable(found.live)
        return cls(live=found.live, run=run, inside=_stays(found.live))

    @classmethod
    def found(cls, live: Path, run: str) -> Self:
        """What `for_staging` chose, read from the directories themselves."""
        if not RUN_ID.fullmatch(run):
            raise ValueError(f"no run is named {run!r}")
        live = live.resolve()
        inside = cls(live=live, run=run, inside=True)
        return inside if inside.exists else cls(live=live, run=run, inside=False)

    @property
    def staging(self) -> Path:
        """A tree being unpacked."""
        return self._path("staging")

    @property
    def staged(self) -> Path:
        """A whole tree; nothing of it is live."""
        return self._path("staged")

    @property
    def arriving(self) -> Path:
        """One level down: a whole tree, some of whose children are live already."""
        return self._path("arriving")

    @property
    def old(self) -> Path:
        """What was live before."""
        return self._path("old")

    @property
    def exists(self) -> bool:
        return any(path.exists() for path in (self.staging, self.staged, self.arriving, self.old))

    @property
    def has_begun(self) -> bool:
        """Whether the swap has; from then on it can only go forward."""
        return self.old.exists() or self.arriving.exists()

    def _path(self, what: str) -> Path:
        if self.inside:
            return self.live / f".diskette-{self.run}.{what}"
        return self.live.with_name(f".{self.live.name}.diskette-{self.run}.{what}")


def is_ours(name: str) -> bool:
    """Whether a name of a directory's entry is one of Diskette's own."""
    return name.startswith(".") and _OURS.fullmatch(name) is not None


def staged_in(live: Path) -> Path:
    """The directory that needs room for the tree which is to replace `live`."""
    live = live.resolve()
    return live if _stays(live) else live.parent


def mount_points() -> frozenset[str]:
    """Where filesystems are mounted, also those bound from the same disk; empty if unknown."""
    if not MOUNTS.exists():
        return frozenset()
    lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    return frozenset(
        _OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split(" ")[4]) for line in lines
    )


def _stays(live: Path) -> bool:
    """Whether a directory cannot be renamed where it lies."""
    if not live.is_dir():
        return False
    is_mounted = live.is_mount() or str(live) in mount_points()
    return is_mounted or not os.access(live.parent, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE)


def _require_replaceable(live: Path) -> None:
    if live.exists() and not live.is_dir():
        raise StorageError(str(live), "is no directory. Move it away, and load again.")
    within = sorted(point for point in mount_points() if point.startswith(f"{live}/"))
    if within:
        why = (
            f"{within[0]} is mounted in it, so it cannot be replaced as a whole. Name the "
            "directories in it as storages of their own in DISKETTE_STORAGES."
        )
        raise StorageError(str(live), why)
