"""The manifest of an archive of the original: which files hold rows, which directories media."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import orjson

from diskette.core.archive import LARGEST_MANIFEST
from diskette.core.exceptions import ForeignArchive, MemberMissing, UnsafeMember, UnsupportedFormat
from diskette.core.files import printable
from diskette.core.manifest import MANIFEST_NAME, UNKNOWN, is_storage_name
from diskette.core.report import JSON
from diskette.core.tar import Kind
from diskette.original.spool import Member, Spool

DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an archive of the original says it holds."""

    version: str
    """Of the Diskette that made it."""
    creation: datetime
    """Aware, UTC."""
    fixtures: tuple[str, ...]
    """Names of members, in the order in which they are loaded."""
    storages: tuple[str, ...]

    @classmethod
    def of(cls, spool: Spool, zone: tzinfo) -> Self:
        """Raises ArchiveError; UnsafeMember for members that it does not name.

        `zone`: of the clock that the original looked at. Django lets a process have its project's.
        """
        member = spool.find(MANIFEST_NAME)
        if member is None:
            why = (
                f"a gzip file without {MANIFEST_NAME}, so no archive of the original Diskette. "
                "Use another one."
            )
            raise UnsupportedFormat(spool.archive.name, why)
        shape = _shape(spool, member)
        contents = cls(
            version=_version(shape),
            creation=_creation(shape, member, zone),
            fixtures=_names(spool, shape, "datas"),
            storages=_names(spool, shape, "storages"),
        )
        contents._require_all(spool)
        return contents

    def _require_all(self, spool: Spool) -> None:
        """What the manifest names is there, and nothing else is."""
        for name in self.fixtures:
            found = spool.find(name)
            if found is None or found.kind != Kind.FILE:
                raise MemberMissing(spool.archive.name, name)
        for name in self.storages:
            if not is_storage_name(name) or name == DATA:
                why = f"{printable(name)!r} is no name of a storage. Do not load it."
                raise ForeignArchive(spool.archive.name, why)
        for member in spool.all():
            if not self._names(member):
                name = printable(member.name)
                raise UnsafeMember(spool.archive.name, name, "is not named in the manifest")

    def _names(self, member: Member) -> bool:
        name = member.name
        if name == MANIFEST_NAME or name in self.fixtures:
            return member.kind == Kind.FILE
        if any(name.startswith(f"{storage}/") for storage in self.storages):
            return True
        return member.kind == Kind.DIRECTORY


def _shape(spool: Spool, member: Member) -> Mapping[str, JSON]:
    archive = spool.archive.name
    if member.kind != Kind.FILE or member.size > LARGEST_MANIFEST:
        raise ForeignArchive(archive, "its manifest is no file, or too large. Do not load it.")
    source = spool.open(member)
    try:
        shape = orjson.loads(b"".join(iter(lambda: source.read(member.size), b"")))
    except orjson.JSONDecodeError as error:
        why = f"its manifest is not JSON ({error}). Fetch it again."
        raise ForeignArchive(archive, why) from error
    if isinstance(shape, dict) and "format" in shape:
        why = "an archive of this Diskette that somebody compressed. Decompress it first (gunzip)."
        raise UnsupportedFormat(archive, why)
    if not isinstance(shape, dict):
        raise ForeignArchive(archive, "its manifest is none of the original Diskette's.")
    return shape


def _names(spool: Spool, shape: Mapping[str, JSON], key: str) -> tuple[str, ...]:
    """A list of members, or null; two definitions of one file name it twice."""
    if key not in shape:
        why = f"its manifest has no {key!r}, so it is none of the original Diskette's."
        raise UnsupportedFormat(spool.archive.name, f"{why} Use another archive.")
    names = shape[key] or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ForeignArchive(spool.archive.name, f"its manifest's {key!r} is no list of names.")
    return tuple(dict.fromkeys(name.rstrip("/") for name in names))


def _version(shape: Mapping[str, JSON]) -> str:
    version = shape.get("version")
    return version if isinstance(version, str) and version else UNKNOWN


def _creation(shape: Mapping[str, JSON], member: Member, zone: tzinfo) -> datetime:
    """As the manifest says; else when its file was written."""
    written = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=member.mtime_ns // 1000)
    try:
        said = datetime.fromisoformat(str(shape.get("creation")))
    except ValueError:
        return written
    return (said if said.tzinfo else said.replace(tzinfo=zone)).astimezone(UTC)
