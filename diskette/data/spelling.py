"""How values are spelled in a line: each in one way, from whatever engine it comes.

A *piece* is the JSON text of one value. The functions here make pieces of Python's values;
engines that spell values themselves (PostgreSQL) must come to the same pieces.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.duration import duration_string

from diskette import conf
from diskette.data.lines import quote

Spell = Callable[[Any], str]
"""From a value other than null to its piece; raises what it likes at one of another type."""

NULL = "null"
integer: Callable[[int], str] = int.__repr__
_SURELY_BEARABLE = 999_999_999 * 86_400 * 10**6
"""Microseconds that Python's durations can hold."""
_ONE_LINE = str.maketrans("\n\r", "  ")


def boolean(value: bool) -> str:
    return "true" if value else "false"


def floating(value: float) -> str:
    """Shortest digits that give the float back; those that JSON lacks as strings."""
    if isfinite(value):
        return float.__repr__(value)
    return '"NaN"' if value != value else '"Infinity"' if value > 0 else '"-Infinity"'  # noqa: PLR0124


def decimal(value: Decimal) -> str:
    """Plain digits, no trailing zeros: the scale is the field's, not the value's."""
    if not value.is_finite():
        return quote(str(value))
    digits = format(value, "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return '"0"' if digits == "-0" else quote(digits)


def binary(value: bytes | memoryview) -> str:
    return f'"{base64.b64encode(value).decode()}"'


def day(value: date) -> str:
    return f'"{value.isoformat()}"'


def clock(value: time) -> str:
    spelled = value.isoformat()
    return f'"{spelled.rstrip("0") if value.microsecond and not value.tzinfo else spelled}"'


def aware_instant(value: datetime) -> str:
    """In UTC; what has no zone is taken as the current one's, as Django does."""
    aware = value if value.tzinfo else timezone.make_aware(value)
    return utc_instant(aware.astimezone(UTC).replace(tzinfo=None))


def utc_instant(bare: datetime) -> str:
    """What is known to be in UTC, its zone left out."""
    at = bare.isoformat()
    return f'"{at.rstrip("0")}+00:00"' if bare.microsecond else f'"{at}+00:00"'


def naive_instant(value: datetime) -> str:
    """Local and bare, as Django keeps it where USE_TZ is off.

    Only an hour that the clock shows twice needs its offset; engines that store instants
    (PostgreSQL) tell the two apart.
    """
    if value.tzinfo is None:
        return _bare(value)
    local = value.astimezone(timezone.get_default_timezone())
    offsets = {local.replace(fold=fold).utcoffset() for fold in (0, 1)}
    return f'"{local.isoformat()}"' if len(offsets) > 1 else _bare(local.replace(tzinfo=None))


def _bare(value: datetime) -> str:
    spelled = value.isoformat()
    return f'"{spelled.rstrip("0") if value.microsecond else spelled}"'


def instant() -> Callable[[datetime], str]:
    """The way that fits the project: in UTC where Django keeps time zones, else local."""
    return aware_instant if conf.use_tz() else naive_instant


def any_instant(value: datetime) -> str:
    return instant()(value)


def duration(value: timedelta) -> str:
    return quote(duration_string(value))


def microseconds(value: int) -> str:
    """A duration of so many, as `duration` spells it."""
    if type(value) is not int or abs(value) > _SURELY_BEARABLE:
        return duration(timedelta(microseconds=value))
    seconds, micros = divmod(value, 10**6)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    day = f"{days} " if days else ""
    fraction = f".{micros:06}" if micros else ""
    return f'"{day}{hour:02}:{minute:02}:{second:02}{fraction}"'


def identifier(value: UUID) -> str:
    return f'"{value}"'


class _Encoder(DjangoJSONEncoder):
    """Whatever else a project's field makes of its value; microseconds are kept."""

    def default(self, o: Any) -> Any:
        for kind, spell in _BY_TYPE.items():
            if isinstance(o, kind):
                return json.loads(spell(o))
        return super().default(o)


def anything(value: Any) -> str:
    """The piece of a value of any type. Raises TypeError or ValueError where JSON has none."""
    if value is None:
        return NULL
    for kind, spell in _BY_TYPE.items():
        if isinstance(value, kind):
            return spell(value)
    return json.dumps(
        value, cls=_Encoder, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )


_BY_TYPE: Mapping[type, Spell] = {
    str: quote,
    bool: boolean,
    int: integer,
    float: floating,
    Decimal: decimal,
    datetime: any_instant,
    date: day,
    time: clock,
    timedelta: duration,
    UUID: identifier,
    bytes: binary,
    memoryview: binary,
}
"""Order matters: a bool is an int, an instant is a date."""


def rescue(value: Any) -> str:
    """Some piece for a value that its field cannot spell, so that no row is lost by it."""
    try:
        return anything(value)
    except (TypeError, ValueError):
        return quote(str(value))


def embedded(text: str) -> str:
    """A JSON column's text, on one line: JSON has line ends only between its values."""
    return str.translate(text.strip(), _ONE_LINE)
