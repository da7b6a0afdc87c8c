"""Values as text: equal on every engine, different for different values and kinds.

A value is spelled as Django keeps it in SQLite; the readers bring it there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

Speller: TypeAlias = Callable[[Any], str]


def number(value: float | str) -> str:
    """`12.5` for 12.5 and for "12.50"; exact, whatever the number of digits."""
    text = f"{Decimal(repr(value) if isinstance(value, float) else value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def binary(value: bytes | str) -> str:
    """Bytes, or their hexadecimal digits."""
    return f"bytes {value.hex() if isinstance(value, bytes) else value}"


def document(text: str, *, keep_order: bool) -> str:
    """JSON without the freedom of spelling it has; numbers exact, 1 and 1.0 told apart."""
    value = json.loads(text, parse_float=_fraction, parse_int=_whole, object_pairs_hook=_Pairs)
    return f"json {_document(value, keep_order=keep_order)}"


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON, in the order it was written in."""


class _Number(str):
    """A number of JSON, spelled."""

    __slots__ = ()


def _whole(literal: str) -> _Number:
    return _Number(number(literal))


def _fraction(literal: str) -> _Number:
    has_places = Decimal(literal).as_tuple().exponent
    spelled = number(literal)
    is_fraction = isinstance(has_places, int) and has_places < 0 and "." not in spelled
    return _Number(f"{spelled}.0" if is_fraction else spelled)


def _document(value: Any, *, keep_order: bool) -> str:
    match value:
        case _Number():
            return str(value)
        case _Pairs():
            # Of equal keys the last one counts, as in PostgreSQL and in Python.
            pairs = dict(value).items() if keep_order else sorted(dict(value).items())
            inner = (f"{key!r}: {_document(each, keep_order=keep_order)}" for key, each in pairs)
            return f"{{{', '.join(inner)}}}"
        case list():
            return f"[{', '.join(_document(each, keep_order=keep_order) for each in value)}]"
        case _:
            return repr(value)


def scalar(value: object) -> str:
    """What SQLite gives: its five classes of values."""
    match value:
        case None:
            return "null"
        case int() | float():
            return number(value)
        case bytes():
            return binary(value)
        case _:
            return repr(value)


def reference(names: Mapping[str, str]) -> Speller:
    """A key of a row that has another key on each site, by that row's natural key."""
    return lambda key: names.get(number(key), f"the missing {key}")
