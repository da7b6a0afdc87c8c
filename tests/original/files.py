"""Every file of a site's storages, for the original's site and for one of ours."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Any

STORAGES = ("media", "var/media", "empty")


def files(base: Path) -> dict[str, dict[str, Any]]:
    """By path, what each file and link is; what the original leaves out is not there."""
    found = [path for name in STORAGES for path in (base / name).rglob("*")]
    return {
        str(path.relative_to(base)): _shown(path)
        for path in sorted(found)
        if (path.is_symlink() or not path.is_dir()) and path.suffix != ".tmp"
    }


def _shown(path: Path) -> dict[str, Any]:
    status = path.lstat()
    # Python's float of the seconds, which the original stores, is exact to a microsecond.
    shown: dict[str, Any] = {"mtime_us": round(status.st_mtime_ns / 1000)}
    if path.is_symlink():
        return {**shown, "target": str(path.readlink())}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        **shown,
        "mode": stat.S_IMODE(status.st_mode),
        "names": status.st_nlink,
        "sha256": digest,
    }
