"""A tree of files, each entry as a line of text."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

DIRECTORY = "d"
"""How a directory's line begins, and no other."""


def read_files(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """Every path in the tree called `name`, with its mode, its digest or its target."""
    if root.exists():
        for path in sorted((root, *root.rglob("*"))):
            yield (Path(name) / path.relative_to(root)).as_posix(), _line(path)


def _line(path: Path) -> str:
    status = path.lstat()
    mode = stat.filemode(status.st_mode)
    if path.is_symlink():
        return f"{mode} -> {path.readlink()}"
    if path.is_dir():
        return mode
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{mode} {status.st_mtime_ns} {digest}"
