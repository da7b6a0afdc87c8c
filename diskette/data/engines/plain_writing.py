"""Writing engines that take plain values, as `plain_reading` reads them.

Each function gives what Django would write, or raises ValueError: texts are proven here
before an engine sees them, which might read something else into them.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from diskette.data.values import Verbatim

IS_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
IS_UTC_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?)\+00:00"
).fullmatch
IS_DURATION = re.compile(
    r"(?:([0-9]+) )?([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
).fullmatch


def of_python(value: Any) -> Any:
    """The value, if it is none in PostgreSQL's own words."""
    if isinstance(value, Verbatim):
        raise ValueError("only PostgreSQL has such a value")  # noqa: TRY004 - as any other
    return value


def hexadecimal(value: UUID) -> str:
    return value.hex


def uuid_of(text: str) -> str:
    if IS_UUID(text):
        return text
    raise ValueError(text)


def hex_of(text: str) -> str:
    return uuid_of(text).replace("-", "")


def day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def clock(text: str) -> str:
    return str(time.fromisoformat(text))


def microseconds(text: str) -> int:
    """As Django keeps durations where there is no type for them."""
    if (found := IS_DURATION(text)) is None:
        raise ValueError(text)
    days, hours, minutes, seconds, fraction = found.groups()
    whole = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole * 1_000_000 + int((fraction or "").ljust(6, "0"))


def utc_instant(text: str) -> str:
    """Django keeps naive texts in the connection's time zone: here UTC."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is not UTC:
        raise ValueError(text)
    if found := IS_UTC_INSTANT(text):  # spares most texts the making of another
        return f"{found[1]} {found[2]}"
    return str(at.replace(tzinfo=None))
