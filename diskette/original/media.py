"""The files of a storage, out of the spool and into the two members that an archive has of it.

The original stored files alone, in the order in which the disk gave them. Here each directory
comes before what lies in it, with ordinary modes, and belongs to whom its first file does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from diskette.core.checksum import CHUNK_BYTES, Sink, Tally, Tick
from diskette.core.exceptions import UnsafeMember
from diskette.core.files import printable, private_file
from diskette.core.frames import FrameWriter, ThreadedFrameWriter
from diskette.core.manifest import MemberEntry, StorageEntry, storage_member
from diskette.core.relay import Aside
from diskette.core.space import disk_errors_named
from diskette.core.tar import END, padding
from diskette.core.tar import Kind as TarKind
from diskette.original.spool import Member, Spool
from diskette.storages.index import ROOT, Entry, Kind

DIRECTORY_MODE = 0o755
_KINDS = {TarKind.FILE: Kind.FILE, TarKind.LINK: Kind.LINK, TarKind.DIRECTORY: Kind.DIRECTORY}


def convert(
    spool: Spool, name: str, mtime_ns: int, tree: Path, index: Path, tick: Tick
) -> StorageEntry:
    """Write a storage's members. Ticks the bytes of its files.

    `mtime_ns`: of directories that the archive does not describe. Raises UnsafeMember.
    """
    entries = files = raw_bytes = 0
    with (
        disk_errors_named(tree.parent),
        private_file(tree, synced=False) as tree_file,
        private_file(index, synced=False) as index_file,
        Aside() as aside,
    ):
        frames = ThreadedFrameWriter(Tally(tree_file), aside)
        listing = FrameWriter(Tally(index_file))
        for entry, member in _entries(spool, name, mtime_ns):
            frames.write(entry.header().to_bytes())
            copied = _copied(entry, member, spool, frames, tick) if member else entry
            listing.write(copied.to_line())
            entries += 1
            files += copied.kind != Kind.DIRECTORY
            raw_bytes += copied.stored
        frames.write(END)
        parts = {"tree": frames.close(), "index": listing.close()}
    members = {
        part: MemberEntry(name=storage_member(name, part), bytes=digest.size, sha256=digest.hex)
        for part, digest in parts.items()
    }
    return StorageEntry(
        name=name,
        tree=members["tree"],
        index=members["index"],
        entries=entries,
        files=files,
        raw_bytes=raw_bytes,
        excludes=(),
    )


def _copied(entry: Entry, member: Member, spool: Spool, frames: Sink, tick: Tick) -> Entry:
    source, tally = spool.open(member), Tally(frames)
    while chunk := source.read(CHUNK_BYTES):
        tally.write(chunk)
        tick(len(chunk))
    frames.write(padding(entry.size))
    return replace(entry, sha256=tally.close().hex)


def _entries(spool: Spool, storage: str, mtime_ns: int) -> Iterator[tuple[Entry, Member | None]]:
    """In the order of a tree; with a file's entry comes its content."""
    made: list[str] = []
    """The directories on the way to the last entry."""
    first_names: dict[int, str] = {}
    """Of files that have several names, the one that comes first, by where they lie."""
    members = spool.beneath(storage)
    for member in members:
        path = member.name[len(storage) + 1 :] or ROOT
        way = _way(path)
        del made[_common(made, way) :]
        for directory in way[len(made) :]:
            _require_directory(spool, storage, directory)
            made.append(directory)
            yield _undescribed(directory, member, mtime_ns), None
        entry = _entry(path, member)
        if member.kind == TarKind.DIRECTORY:
            made.append(path)
        if member.kind != TarKind.FILE:
            yield entry, None
        elif member.shared and member.at in first_names:
            target = first_names[member.at]
            yield replace(entry, kind=Kind.HARD_LINK, size=0, target=target), None
        else:
            if member.shared:
                first_names[member.at] = path
            yield entry, member
    if not made:
        yield _empty(mtime_ns), None


def _way(path: str) -> list[str]:
    """The directories that a path lies in, the storage itself first."""
    if path == ROOT:
        return []
    parts = path.split("/")[:-1]
    return [ROOT, *("/".join(parts[: n + 1]) for n in range(len(parts)))]


def _common(made: list[str], way: list[str]) -> int:
    pairs = zip(made, way, strict=False)
    return next(
        (n for n, (one, other) in enumerate(pairs) if one != other), min(len(made), len(way))
    )


def _require_directory(spool: Spool, storage: str, directory: str) -> None:
    name = storage if directory == ROOT else f"{storage}/{directory}"
    if (found := spool.find(name)) and found.kind != TarKind.DIRECTORY:
        why = "is no directory, but other members lie in it"
        raise UnsafeMember(spool.archive.name, printable(name), why)


def _entry(path: str, member: Member) -> Entry:
    return Entry(
        path=path,
        kind=_KINDS[TarKind(member.kind)],
        size=member.size if member.kind == TarKind.FILE else 0,
        target=member.link,
        mode=member.mode,
        mtime_ns=member.mtime_ns,
        uid=member.uid,
        gid=member.gid,
        user=member.user,
        group=member.group,
    )


def _undescribed(path: str, within: Member, mtime_ns: int) -> Entry:
    described = _entry(path, within)
    return replace(
        described, kind=Kind.DIRECTORY, size=0, target="", mode=DIRECTORY_MODE, mtime_ns=mtime_ns
    )


def _empty(mtime_ns: int) -> Entry:
    """A storage of which the archive holds nothing: every file of it was excluded, or none was."""
    return Entry(
        path=ROOT,
        kind=Kind.DIRECTORY,
        mode=DIRECTORY_MODE,
        mtime_ns=mtime_ns,
        uid=os.geteuid(),
        gid=os.getegid(),
        user="",
        group="",
    )
