"""Extended headers of tar files (POSIX pax), as Python's tarfile writes them, read strictly.

Only what describes one member is known: the names, numbers and instant that its own header
has no room for. Anything else is refused, for it might change what the member means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

LONGEST = 1 << 16
"""Bytes of all records of one member."""

Records = Mapping[str, bytes]

_LENGTH: Final = re.compile(rb"([1-9]\d{0,5}) ")
_NUMBER: Final = re.compile(rb"\d{1,19}")
_INSTANT: Final = re.compile(rb"-?\d{1,12}(\.\d{0,40})?")
_TEXTS: Final = {"path": "name", "linkpath": "link", "uname": "user", "gname": "group"}
_NUMBERS: Final = {"size": "size", "uid": "uid", "gid": "gid"}
_OF_NO_MATTER: Final = {"atime", "ctime", "comment"}
_NANOSECONDS: Final = 1_000_000_000


def parse(text: bytes) -> Records:
    """The records of an extended header. Raises ValueError, saying what is wrong with it."""
    records = {}
    while text:
        length = _LENGTH.match(text)
        end = int(length[1]) if length else 0
        record = text[length.end() : end] if length else b""
        keyword, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or end > len(text):
            raise ValueError("an extended header that is none")
        records[keyword.decode("utf-8", "backslashreplace")] = value[:-1]
        text = text[end:]
    return records


def described(records: Records) -> dict[str, Any]:
    """What they say of a member, by the fields of its `tar.Header`. Raises ValueError."""
    values: dict[str, Any] = {}
    for keyword, value in records.items():
        if keyword in _TEXTS:
            values[_TEXTS[keyword]] = _text(value)
        elif keyword in _NUMBERS:
            values[_NUMBERS[keyword]] = int(_matching(_NUMBER, value))
        elif keyword == "mtime":
            values |= _instant(value)
        elif keyword not in _OF_NO_MATTER and (keyword, value) != ("hdrcharset", b"BINARY"):
            raise ValueError(f"an extended header that says {keyword}")
    return values


def _instant(value: bytes) -> dict[str, int]:
    nanoseconds = int(Decimal(_matching(_INSTANT, value).decode()) * _NANOSECONDS)
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return {"mtime": seconds, "nanoseconds": rest}


def _text(value: bytes) -> str:
    if b"\0" in value or not value:
        raise ValueError("an extended header with a text that is none")
    return value.decode("utf-8", "surrogateescape")


def _matching(pattern: re.Pattern[bytes], value: bytes) -> bytes:
    if not pattern.fullmatch(value):
        raise ValueError("an extended header with a number that is none")
    return value
