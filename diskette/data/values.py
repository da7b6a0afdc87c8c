"""What the line says, as the value that the field's column takes: one function per kind.

Each function takes the JSON value as Diskette writes it; what else may stand there (the
original Diskette's and Django's fixtures are looser) is left to the field's `to_python`.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_duration

from diskette import conf
from diskette.core.report import JSON
from diskette.data.kinds import AnyField, Kind

Decode = Callable[[JSON], Any]
"""From a JSON value other than null; raises ValueError with what is wrong."""


class Verbatim(str):
    """A value in PostgreSQL's own spelling, that Python's type for it cannot hold."""

    __slots__ = ()


_BEYOND_PYTHON = re.compile(r"-?infinity|24:00:00|.* BC|\d{5,}-.*")


def decoder(field: AnyField, kind: Kind) -> Decode:
    """The function that reads a field's values from a line."""
    if kind is Kind.BINARY:  # the field's own reading drops what is no base64
        return _binary
    direct = _DIRECT.get(kind)
    through_field = partial(_by_field, field)
    return through_field if direct is None else partial(_direct_or_by_field, direct, through_field)


def _direct_or_by_field(direct: Decode, through_field: Decode, value: JSON) -> Any:
    try:
        return direct(value)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return through_field(value)


def _by_field(field: AnyField, value: JSON) -> Any:
    try:
        return field.to_python(value)
    except ValidationError as error:
        raise ValueError("; ".join(error.messages)) from error
    except Exception as error:  # a project's own field may raise whatever it likes
        raise ValueError(f"{value!r}: {error!r}") from error


def _exactly(wanted: type, value: JSON) -> Any:
    if type(value) is wanted:
        return value
    raise TypeError


def _decimal(value: JSON) -> Decimal:
    return Decimal(_exactly(str, value))


def _binary(value: JSON) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except TypeError as error:
        raise ValueError(f"{value!r} is no base64") from error


def _or_verbatim(parse: Callable[[str], Any], value: JSON) -> Any:
    try:
        return parse(value)
    except ValueError:
        if _BEYOND_PYTHON.fullmatch(value):
            return Verbatim(value)
        raise


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if conf.use_tz():
        return at.astimezone(UTC) if at.tzinfo else timezone.make_aware(at)
    return timezone.make_naive(at) if at.tzinfo else at


def _duration(value: JSON) -> timedelta:
    parsed = parse_duration(value)
    if parsed is None:
        raise ValueError(value)
    return parsed


def _uuid(value: JSON) -> uuid.UUID:
    return uuid.UUID(_exactly(str, value))


_DIRECT: Mapping[Kind, Decode] = {
    Kind.INTEGER: partial(_exactly, int),
    Kind.FLOAT: float,
    Kind.DECIMAL: _decimal,
    Kind.BOOLEAN: partial(_exactly, bool),
    Kind.TEXT: partial(_exactly, str),
    Kind.DATE: partial(_or_verbatim, date.fromisoformat),
    Kind.TIME: partial(_or_verbatim, time.fromisoformat),
    Kind.INSTANT: partial(_or_verbatim, _instant),
    Kind.DURATION: _duration,
    Kind.UUID: _uuid,
    Kind.ADDRESS: partial(_exactly, str),
}
