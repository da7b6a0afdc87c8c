"""Directories of awkward files, and what they look like."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import replace
from pathlib import Path

from diskette.core.checksum import Tally
from diskette.core.frames import FrameWriter
from diskette.core.manifest import MemberEntry, StorageEntry
from diskette.core.tar import END, padding
from diskette.storages import Storage, StoragePart, collect, stage
from diskette.storages.index import Entry, Kind

RUN = "0b9d2c1e-6f57-4a57-9b1d-0a8f3f6f2f10"
NOT_UTF8 = "caf\udce9 \udcff.jpg"
BLOCK = 4096
"""Of the filesystem that tests run on: a hole is no shorter."""
OLD = 946_684_800_123_456_789
"""2000-01-01, with nanoseconds."""


def uncounted(_: int) -> None:
    """A tick that nobody watches."""


def fill(root: Path) -> None:
    (root / "photos" / "2026").mkdir(parents=True)
    (root / "photos" / "2026" / "Ümläut 名.jpg").write_bytes(os.urandom(200_000))
    (root / "photos" / NOT_UTF8).write_bytes(b"not a name, but a file")
    (root / "photos" / "new\nline \x1b[31m").write_bytes(b"newline")
    (root / "empty file").touch()
    (root / "empty").mkdir()
    (root / "text.txt").write_bytes(b"the same words again and again " * 60_000)
    (root / ("long " * 40)).write_bytes(b"long name")
    (root / "closed").mkdir()
    (root / "closed" / "script.sh").write_bytes(b"#!/bin/sh\n")
    (root / "closed" / "script.sh").chmod(0o555)
    (root / "closed").chmod(0o555)
    (root / "shared").mkdir()
    (root / "shared").chmod(0o2775)
    (root / "link").symlink_to("photos/2026")
    (root / "photos" / "up").symlink_to("../text.txt")
    (root / "dangling").symlink_to("nowhere")
    (root / NOT_UTF8).symlink_to("photos/" + NOT_UTF8)
    (root / "second name").hardlink_to(root / "text.txt")
    os.utime(root / "empty file", ns=(OLD, OLD))
    os.utime(root / "dangling", ns=(OLD, OLD), follow_symlinks=False)
    os.utime(root / "photos", ns=(OLD, OLD))
    os.utime(root / "text.txt", ns=(-OLD, -OLD))
    os.utime(root, ns=(OLD, OLD))


def make_sparse(path: Path, size: int, *parts: tuple[int, bytes]) -> None:
    """A file of holes but for these bytes at these places."""
    with path.open("wb") as stream:
        for at, content in parts:
            stream.seek(at)
            stream.write(content)
        stream.truncate(size)


def look(root: Path) -> dict[str, tuple[object, ...]]:
    """All that is to survive, by path."""
    paths = [root, *root.rglob("*")]
    return {str(path.relative_to(root)): _look(path) for path in paths}


def _look(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    common = (status.st_uid, status.st_gid, status.st_mtime_ns)
    if path.is_symlink():
        return ("link", str(path.readlink()), *common)
    mode = stat.S_IMODE(status.st_mode)
    if path.is_dir():
        return ("directory", mode, *common)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ("file", mode, *common, digest, status.st_nlink)


def collected(storage: Storage, workspace: Path) -> StoragePart:
    workspace.mkdir(exist_ok=True)
    return collect(storage, workspace / "tree", workspace / "index", tick=uncounted)


def promised(part: StoragePart) -> StorageEntry:
    return StorageEntry(
        name=part.name,
        tree=part.tree,
        index=part.index,
        entries=part.entries,
        files=part.files,
        raw_bytes=part.raw_bytes,
        excludes=part.excludes,
    )


def staged(part: StoragePart, workspace: Path, live: Path, run: str = RUN) -> Path:
    entry = promised(part)
    return stage(entry, workspace / "tree", workspace / "index", live, run, tick=uncounted).tree


def entry(path: str, kind: Kind = Kind.FILE, content: bytes = b"", **more: object) -> Entry:
    """One entry as Diskette writes it, for trees made by hand."""
    plain = Entry(path=path, kind=kind, mode=0o755, mtime_ns=OLD, uid=0, gid=0, user="", group="")
    if kind in {Kind.FILE, Kind.UNREADABLE}:
        sha256 = hashlib.sha256(content).hexdigest()
        plain = replace(plain, size=len(content), sha256=sha256, mode=0o644)
    return replace(plain, **more)  # type: ignore[arg-type]


ROOT = (entry(".", Kind.DIRECTORY), b"")


def handmade(
    workspace: Path,
    *members: tuple[Entry, bytes],
    lines: list[bytes] | None = None,
    **promises: int,
) -> StorageEntry:
    """The two members of a storage, made of any entries, and what a manifest says of them."""
    workspace.mkdir(exist_ok=True)
    raw = b"".join(
        e.header().to_bytes() + content + padding(len(content)) for e, content in members
    )
    listed = [e.to_line() for e, _ in members] if lines is None else lines
    entries = [e for e, _ in members]
    values = {
        "entries": len(entries),
        "files": sum(e.kind != Kind.DIRECTORY for e in entries),
        "raw_bytes": sum(e.stored + e.padding for e in entries),
    }
    return StorageEntry(
        name="media",
        tree=written(workspace / "tree", raw + END),
        index=written(workspace / "index", b"".join(listed)),
        excludes=(),
        **values | promises,
    )


def written(path: Path, raw: bytes) -> MemberEntry:
    with path.open("wb") as stream:
        frames = FrameWriter(Tally(stream))
        frames.write(raw)
        digest = frames.close()
    return MemberEntry(name=f"storages/media.{path.name}.zst", bytes=digest.size, sha256=digest.hex)
