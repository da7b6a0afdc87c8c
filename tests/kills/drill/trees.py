"""The storage that is loaded along: its two states, and what it holds, without Diskette."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks.media import make_media

MEAN_BYTES = 20_000
MORE_IN_NEW = 1.1
"""More files, and each another one than that of the same name in OLD."""

Files = Mapping[str, tuple[object, ...]]
"""All that makes up a file, a link or a directory, by path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """`live` is the storage; `kept` has a whole tree for each state."""

    live: Path
    kept: Path

    @classmethod
    def made(cls, directory: Path, live: Path, files: int) -> Trees:
        for name, number in (("old", files), ("new", int(files * MORE_IN_NEW))):
            root = directory / "trees" / name
            make_media(root, size=number * MEAN_BYTES, files=number)
            (root / f"only in {name}").mkdir()
            (root / "link").symlink_to(f"only in {name}")
        return cls(live=live, kept=directory / "trees")

    def put(self, name: str) -> None:
        """Replace what is in the storage, which may be a mount point, by one of the states."""
        self.live.mkdir(exist_ok=True)
        for path in self.live.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        shutil.copytree(self.kept / name, self.live, symlinks=True, dirs_exist_ok=True)

    def leftovers(self) -> list[str]:
        """What was staged or put aside, beside the storage and in it."""
        found = (*self.live.parent.glob(".*diskette-*"), *self.live.rglob(".*diskette-*"))
        return [path.name for path in found]


def files_of(root: Path) -> Files:
    return {str(path.relative_to(root)): _look(path) for path in root.rglob("*")}


def _look(path: Path) -> tuple[object, ...]:
    if path.is_symlink():
        return ("link", str(path.readlink()))
    status = path.stat()
    common = (status.st_mode, status.st_mtime_ns)
    return common if path.is_dir() else (*common, sha256(path.read_bytes()).hexdigest())
