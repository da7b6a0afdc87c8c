"""The manifest: the archive's first member, and what every reader trusts after checking it.

Everything here is read from files that anyone may have changed, so `from_json` checks
types, member names and the format before a value exists. Shape: docs/archive.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import orjson

from diskette.core.exceptions import ForeignArchive, UnsupportedFormat
from diskette.core.report import JSON, Finding

FORMAT = 1
"""Raised when an older Diskette could not read what this one writes."""

MANIFEST_NAME = "manifest.json"
DATA_MEMBER = re.compile(r"data/\d{4,}_[\w.]+\.[\w]+\.jsonl\.zst")
UNKNOWN = "unknown"
"""For what an archive of the original Diskette does not say."""
SHA256 = re.compile(r"[0-9a-f]{64}")

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEntry:
    """A member of the archive, as it lies there (compressed)."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """The rows of one table."""

    model: str
    """Label as Django spells it: `auth.User`, `auth.User_groups`."""
    table: str
    member: MemberEntry
    rows: int
    raw_bytes: int
    """Bytes of the lines before compression."""
    digest: str
    """Row digest: independent of row order and of the engine (docs/archive.md)."""
    fields: tuple[str, ...]
    """Field names in each line, the primary key apart."""
    primary_key: str
    """The primary key's field name, or "" where rows are written without their key."""
    natural_foreign: bool = False
    """Whether foreign keys stand as natural keys, so that the digest is taken of those."""
    by_value: tuple[str, ...] = ()
    """Those that stand as they are in the table, where the others are natural keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionEntry:
    """What one application definition brought."""

    name: str
    database: str
    models: tuple[ModelEntry, ...]
    filename: str = ""
    """By which a load may know it, too, as the original's loads did."""

    def is_named(self, words: Collection[str]) -> bool:
        """Whether one of them is its name, or its file's."""
        return self.name in words or (bool(self.filename) and self.filename in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageEntry:
    """One directory of files."""

    name: str
    """Path relative to the storages' base: `media`, `var/media`."""
    tree: MemberEntry
    index: MemberEntry
    entries: int
    """Lines of the index: files, links and directories."""
    files: int
    """Files and links."""
    raw_bytes: int
    """What the files hold, and what they take when they are unpacked."""
    excludes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The database at one instant, per alias."""

    database: str
    engine: str
    """`postgresql`, `sqlite` or `mysql`."""
    method: str
    """How the instant was held: `exported`, `copy` or `transaction`."""
    name: str
    """The engine's own name for it, or the copy's file name."""
    at: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    diskette: str
    django: str
    python: str
    engines: Mapping[str, str]
    """Database alias to `postgresql 15.18`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    format: int
    label: str
    instant: datetime
    """Aware, UTC: the moment the data shows."""
    run: str
    purpose: str
    """`dump`, or `safety` for the copy a load takes before it writes."""
    versions: Versions
    snapshots: tuple[Snapshot, ...]
    definitions: tuple[DefinitionEntry, ...]
    """In load order; empty when dumped without data."""
    load_order: tuple[str, ...]
    """Model labels, referenced ones first."""
    storages: tuple[StorageEntry, ...]
    migrations: Mapping[str, tuple[str, ...]]
    """Application label to its leaf migrations."""
    findings: tuple[Finding, ...] = ()
    """Everything that was found wrong at dump time."""
    environment: str = ""
    """What the deployment is called that it was made in, such as `production`."""

    @property
    def is_of_original(self) -> bool:
        """Whether it was made for an archive of the original Diskette, which says far less."""
        return self.versions.django == UNKNOWN

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        return tuple(entry for definition in self.definitions for entry in definition.models)

    @property
    def members(self) -> tuple[MemberEntry, ...]:
        """Every member but the manifest, in the archive's order."""
        data = [entry.member for entry in self.models]
        trees = [member for s in self.storages for member in (s.index, s.tree)]
        return (*data, *trees)

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry in self.models)

    @property
    def files(self) -> int:
        return sum(storage.files for storage in self.storages)

    def to_bytes(self) -> bytes:
        shape = asdict(self) | {
            "instant": self.instant.astimezone(UTC).isoformat(),
            "findings": [finding.to_json() for finding in self.findings],
        }
        return orjson.dumps(shape, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, raw: bytes, *, archive: str) -> Self:
        """Parse and check. Raises ForeignArchive or UnsupportedFormat, naming `archive`."""
        shape = _parse(raw, archive)
        try:
            manifest = _checked(cls, _values(shape))
            _require_unambiguous(manifest)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            why = f"its manifest is not one of Diskette's ({error}). Fetch it again."
            raise ForeignArchive(archive, why) from error
        return manifest


def storage_member(name: str, part: str) -> str:
    """The member that holds a storage's `tree` or `index`."""
    return f"storages/{name}.{'tar' if part == 'tree' else 'index.jsonl'}.zst"


def is_storage_name(name: str) -> bool:
    """Whether it is a path beneath a directory, spelled in one way only."""
    printable = all(c.isprintable() for c in name)
    return printable and all(part not in {"", ".", ".."} for part in name.split("/"))


def _parse(raw: bytes, archive: str) -> dict[str, JSON]:
    try:
        shape = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ForeignArchive(
            archive, f"its manifest is not JSON ({error}). Fetch it again."
        ) from error
    found = shape.get("format") if isinstance(shape, dict) else None
    if not isinstance(found, int):
        raise ForeignArchive(archive, "its manifest is not one of Diskette's. Use another archive.")
    if found > FORMAT:
        why = (
            f"made in format {found}; this Diskette reads up to {FORMAT}. "
            "Upgrade Diskette here to the version that made it."
        )
        raise UnsupportedFormat(archive, why)
    return dict(shape)


def _values(shape: Mapping[str, JSON]) -> dict[str, Any]:
    return dict(shape) | {
        "instant": _instant(shape["instant"]),
        "versions": _versions(shape["versions"]),
        "snapshots": tuple(_checked(Snapshot, each) for each in shape["snapshots"]),
        "definitions": tuple(_definition(each) for each in shape["definitions"]),
        "load_order": _words(shape["load_order"]),
        "storages": tuple(_storage(each) for each in shape["storages"]),
        "migrations": {k: _words(v) for k, v in shape["migrations"].items()},
        "findings": tuple(_finding(each) for each in shape["findings"]),
    }


def _checked(kind: type[_Value], values: Mapping[str, JSON]) -> _Value:
    """A value of numbers that count and words that are words.

    What a later Diskette of the same format added is left out, and what an earlier one did not
    know has its default.
    """
    known = {}
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name in values or each.default is MISSING:
            known[each.name] = _plain(each.name, str(each.type), values[each.name])
    return kind(**known)


def _plain(name: str, kind: str, value: JSON) -> JSON:
    if kind == "int" and (type(value) is not int or value < 0):
        raise ValueError(f"{name} is no count")
    if kind == "bool" and not isinstance(value, bool):
        raise TypeError(f"{name} is neither true nor false")
    if kind == "str" and not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _require_unambiguous(manifest: Manifest) -> None:
    names = [member.name for member in manifest.members]
    if len(set(names)) < len(names):
        raise ValueError("a member is named twice")


def _finding(shape: Mapping[str, JSON]) -> Finding:
    finding = Finding.from_json(shape)
    _words([finding.code, finding.message, finding.hint])
    return finding


def _versions(shape: Mapping[str, JSON]) -> Versions:
    versions = _checked(Versions, shape)
    _words([*versions.engines.keys(), *versions.engines.values()])
    return versions


def _definition(shape: Mapping[str, JSON]) -> DefinitionEntry:
    models = tuple(_model(each) for each in shape["models"])
    return _checked(DefinitionEntry, {**shape, "models": models})


def _model(shape: Mapping[str, JSON]) -> ModelEntry:
    member = _member(shape["member"])
    if not DATA_MEMBER.fullmatch(member.name):
        raise ValueError(f"no member of an archive is named {member.name!r}")
    words = {"fields": _words(shape["fields"]), "by_value": _words(shape.get("by_value", []))}
    entry = _checked(ModelEntry, {**shape, "member": member, **words})
    if not SHA256.fullmatch(entry.digest):
        raise ValueError(f"{entry.model} has no digest")
    return entry


def _storage(shape: Mapping[str, JSON]) -> StorageEntry:
    parts = {part: _member(shape[part]) for part in ("tree", "index")}
    entry = _checked(StorageEntry, {**shape, **parts, "excludes": _words(shape["excludes"])})
    if not is_storage_name(entry.name):
        raise ValueError(f"no storage is named {entry.name!r}")
    for part, member in parts.items():
        if member.name != storage_member(entry.name, part):
            raise ValueError(f"no member of an archive is named {member.name!r}")
    return entry


def _member(shape: Mapping[str, JSON]) -> MemberEntry:
    entry = _checked(MemberEntry, shape)
    if not SHA256.fullmatch(entry.sha256):
        raise ValueError(f"member {entry.name!r} has no digest")
    return entry


def _words(values: Sequence[JSON]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of words was expected")
    return tuple(values)


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant without its time zone")
    return at.astimezone(UTC)
