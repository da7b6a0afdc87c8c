"""Names of archives: `shop_20261122T020000Z_data_storages.tar`.

A project may choose other names (DISKETTE_DUMP_FILENAME). Nothing but people reads what a
name says: the catalog asks each archive's manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from diskette.core.exceptions import ConfigurationError

SUFFIX = ".tar"
DEFAULT_PATTERN = "{label}_{instant}{features}"
PLACEHOLDERS = ("features", "date", "label", "instant")
LONGEST_NAME = 180
"""Bytes: leaves room, in the 255 of a file system, for a partial file's additions."""

_COMPRESSED_ENDINGS = re.compile(r"\.(tar\.\w+|tgz|tbz2?|txz|tzst)$")
_NAME = re.compile(
    r"(?P<label>[^/\0]+)_(?P<instant>\d{8}T\d{6}Z)(?P<data>_data)?(?P<storages>_storages)?"
    r"(-(?P<copy>[1-9]\d*))?\.tar"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveName:
    """What a name of the default pattern says."""

    label: str
    instant: datetime
    """Aware, UTC, whole seconds."""
    data: bool
    storages: bool
    copy: int = 1
    """2 and more where the name was taken."""

    def __str__(self) -> str:
        copy = f"-{self.copy}" if self.copy > 1 else ""
        return f"{self.label}_{_instant(self.instant)}{_features(self)}{copy}{SUFFIX}"

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """None for a name of another pattern, or of no instant there ever is."""
        if not (found := _NAME.fullmatch(name)):
            return None
        try:
            instant = datetime.strptime(found["instant"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(
            label=found["label"],
            instant=instant,
            data=found["data"] is not None,
            storages=found["storages"] is not None,
            copy=int(found["copy"] or 1),
        )


def archive_name(
    *, label: str, instant: datetime, data: bool, storages: bool, pattern: str | None = None
) -> str:
    """The name of an archive of these parts.

    `pattern` may hold {label}, {instant} (20261122T020000Z), {date} (2026-11-22T020000, the
    original's spelling, in UTC) and {features} (_data, _storages or _data_storages). Endings
    of compressed archives become .tar, for that is what an archive is. Raises
    ConfigurationError for a pattern that gives no name of a file.
    """
    parts = ArchiveName(label=label, instant=instant, data=data, storages=storages)
    values = {
        "label": label,
        "instant": _instant(instant),
        "date": instant.astimezone(UTC).strftime("%Y-%m-%dT%H%M%S"),
        "features": _features(parts),
    }
    pattern = DEFAULT_PATTERN if pattern is None else pattern
    stem = _COMPRESSED_ENDINGS.sub("", pattern).removesuffix(SUFFIX)
    return _checked(_filled(stem, values, pattern) + SUFFIX)


def candidates(name: str) -> Iterator[str]:
    """The name, then the name with -2, -3 and so on: an archive never replaces another."""
    yield name
    stem = name.removesuffix(SUFFIX)
    number = 2
    while True:
        yield f"{stem}-{number}{SUFFIX}"
        number += 1


def free_name(directory: Path, name: str) -> str:
    """The first candidate that nothing in the directory bears."""
    return next(each for each in candidates(name) if not (directory / each).exists())


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _features(name: ArchiveName) -> str:
    return ("_data" if name.data else "") + ("_storages" if name.storages else "")


def _filled(stem: str, values: dict[str, str], pattern: str) -> str:
    unknown = [each for each in re.findall(r"\{([^{}]*)\}", stem) if each not in values]
    if unknown:
        known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
        raise ConfigurationError(
            f"DISKETTE_DUMP_FILENAME or --filename {pattern!r}: {{{unknown[0]}}} is no part of an "
            f"archive's name. Use {known}."
        )
    return re.sub(r"\{([^{}]*)\}", lambda found: values[found[1]], stem)


def _checked(name: str) -> str:
    problem = ""
    if "/" in name or "\0" in name:
        problem = "a name holds no directory; set DISKETTE_DUMP_PATH for that"
    elif name.startswith(".") or not name.isprintable():
        problem = "a name begins with a letter or a digit and holds no control characters"
    elif len(name.encode(errors="surrogateescape")) > LONGEST_NAME:
        problem = f"it makes a name of more than {LONGEST_NAME} bytes"
    if problem:
        raise ConfigurationError(
            f"An archive cannot be named {name!r}: {problem}. DISKETTE_DUMP_FILENAME and "
            "DISKETTE_LABEL make its name, or --filename and --label."
        )
    return name
