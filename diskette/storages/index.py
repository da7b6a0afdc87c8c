"""The index of a storage: a line of JSON for each entry of its tree, in the same order.

Names need not be text: one that is no UTF-8 is written as `path_base64` (a link's target as
`target_base64`) instead of `path`, so that every line is valid JSON and no name is changed.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Self

import orjson

from diskette.core import tar
from diskette.core.manifest import SHA256

ROOT = "."
DEEPEST = 200
"""Directories within directories; each takes an open file on the way."""

LONGEST_LINE = 1 << 16
"""Bytes: a path and a target of 4096 bytes each, escaped at worst."""

_MODES = 0o7777
_NANOSECONDS = 1_000_000_000
_TIMES = range(-(1 << 63), 1 << 63)
_IDS = range(1 << 32)
_SIZES = range(1 << 62)


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    HARD_LINK = "hardlink"
    """Another name of a file that came before."""
    UNREADABLE = "unreadable"
    """A file that could not be read to its end: its bytes in the tree are not to be used."""


TAR_KINDS = {
    Kind.FILE: tar.Kind.FILE,
    Kind.DIRECTORY: tar.Kind.DIRECTORY,
    Kind.LINK: tar.Kind.LINK,
    Kind.HARD_LINK: tar.Kind.HARD_LINK,
    Kind.UNREADABLE: tar.Kind.FILE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a storage. Text has surrogate escapes for bytes that are no UTF-8."""

    path: str
    """Relative to the storage; `.` for the storage itself."""
    kind: Kind
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    user: str
    group: str
    size: int = 0
    """Bytes of a file, its holes included."""
    extents: tar.Extents | None = None
    """Where the data of a sparse file lies; None for a file without holes."""
    padding: int = 0
    """Zeros that follow the content in the tree, because the file shrank while it was read."""
    sha256: str = ""
    """Of a file's content; of a sparse file's data, without its holes."""
    target: str = ""
    """What a link says, or the path of the file that a hard link is another name of."""

    @property
    def stored(self) -> int:
        """Bytes of its content in the tree, without the padding."""
        if self.extents is None:
            return self.size
        return sum(length for _, length in self.extents)

    def to_line(self) -> bytes:
        shape = _named("path", self.path) | {"type": self.kind.value}
        if self.kind in {Kind.FILE, Kind.UNREADABLE}:
            shape |= {"size": self.size, "padding": self.padding, "sha256": self.sha256}
        if self.extents is not None:
            shape["extents"] = self.extents
        if self.kind in {Kind.LINK, Kind.HARD_LINK}:
            shape |= _named("target", self.target)
        shape |= {"mode": f"{self.mode:04o}", "mtime_ns": self.mtime_ns}
        shape |= {"uid": self.uid, "gid": self.gid, "user": self.user, "group": self.group}
        return orjson.dumps(shape, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Raises ValueError for anything but what `to_line` writes."""
        try:
            return cls(**_values(orjson.loads(line)))
        except (AttributeError, KeyError, TypeError, binascii.Error) as error:
            raise ValueError(str(error)) from error

    def header(self) -> tar.Header:
        """How the tree has it."""
        return tar.Header(
            name=self.path + "/" if self.kind == Kind.DIRECTORY else self.path,
            kind=TAR_KINDS[self.kind] if self.extents is None else tar.Kind.SPARSE,
            size=self.stored + self.padding,
            extents=self.extents or (),
            real_size=0 if self.extents is None else self.size,
            mode=self.mode,
            mtime=self.mtime_ns // _NANOSECONDS,
            uid=self.uid,
            gid=self.gid,
            user=self.user,
            group=self.group,
            link=self.target,
        )


def leaves(path: str, target: str) -> bool:
    """Whether a link at `path`, a path within a storage, could point out of it.

    Only a target that climbs first and then descends is sure to stay: after a directory's
    name, `..` need not lead back, for that directory may be a link itself.
    """
    if not target or target.startswith("/"):
        return True
    parts = PurePosixPath(target).parts
    climbs = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    return climbs > path.count("/") or ".." in parts[climbs:]


def _named(key: str, text: str) -> dict[str, Any]:
    raw = os.fsencode(text)
    try:
        return {key: raw.decode()}
    except UnicodeDecodeError:
        return {f"{key}_base64": base64.b64encode(raw).decode()}


def _values(shape: dict[str, Any]) -> dict[str, Any]:
    kind = Kind(shape["type"])
    values: dict[str, Any] = {
        "path": _name(shape, "path"),
        "kind": kind,
        "mode": _count(int(_text(shape["mode"]), 8), range(_MODES + 1)),
        "mtime_ns": _count(shape["mtime_ns"], _TIMES),
        "uid": _count(shape["uid"], _IDS),
        "gid": _count(shape["gid"], _IDS),
        "user": _text(shape["user"]),
        "group": _text(shape["group"]),
    }
    if kind in {Kind.FILE, Kind.UNREADABLE}:
        values |= {key: _count(shape[key], _SIZES) for key in ("size", "padding")}
        values["sha256"] = _digest(shape["sha256"])
        if "extents" in shape:
            values["extents"] = _extents(shape["extents"], values)
    if kind in {Kind.LINK, Kind.HARD_LINK}:
        values["target"] = _name(shape, "target")
    return values


def _name(shape: dict[str, Any], key: str) -> str:
    if key in shape:
        name = _text(shape[key])
    else:
        name = os.fsdecode(base64.b64decode(_text(shape[f"{key}_base64"]), validate=True))
    if not name or "\0" in name:
        raise ValueError("an entry without a name")
    return name


def _count(value: Any, allowed: range) -> int:
    if type(value) is not int or value not in allowed:
        raise ValueError(f"{value!r} is no such number")
    return value


def _extents(value: Any, values: dict[str, Any]) -> tar.Extents:
    extents = tuple((_count(start, _SIZES), _count(length, _SIZES)) for start, length in value)
    stored = sum(length for _, length in extents)
    sparse = tar.Header(name=values["path"], size=stored, extents=extents, real_size=values["size"])
    if values["padding"]:
        raise ValueError("a sparse file with padding")
    return sparse.checked_sparse().extents


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError(f"{value!r} is no text")
    return value


def _digest(value: Any) -> str:
    if not SHA256.fullmatch(_text(value)):
        raise ValueError(f"{value!r} is no digest")
    return str(value)
