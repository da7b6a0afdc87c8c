"""Whether two trees hold the same files."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

TIMES = "times or modes lost"


def losses(source: Path, loaded: Path) -> list[str]:
    """What a tool did not bring over; empty: nothing."""
    here, there = _files(source), _files(loaded)
    different = here.items() ^ there.items()
    if different:
        return [f"{len(different)} of {len(here)} files differ, {len(there)} are there"]
    return [] if _statuses(source) == _statuses(loaded) else [TIMES]


def _files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def _statuses(root: Path) -> dict[str, tuple[float, int]]:
    return {
        path.relative_to(root).as_posix(): (status.st_mtime, status.st_mode)
        for path in root.rglob("*")
        if path.is_file() and (status := path.stat())
    }
