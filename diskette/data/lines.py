"""One line of an archive's data: `{"model":…,"pk":…,"fields":{…}}`, as text.

Knows JSON and nothing of databases. Numbers are never turned into floats on their way, since
a JSON field may hold more digits than a float: JSON values are kept as the text they are.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any

import orjson

from diskette.core.report import JSON
from diskette.data.kinds import Kind

MODULUS = 2**256
"""Row digests are summed modulo this."""

JSON_NULL = "json_null"
"""The line's extra key: JSON fields that hold JSON's null, where plain null is SQL's NULL."""

_MEMBER_NAME = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*:\s*')
_MEMBER_END = re.compile(r"\s*([,}])")
_OBJECT_START = re.compile(r"\s*\{\s*")
_FIELDS = '"fields":{'
_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]{1,999}))?")
"""A number whose exponent is not beyond all measure."""
_PLAIN_DIGITS = 15
"""Integers up to so many digits are canonical as they are."""


quote: Callable[[str], str] = encode_basestring
"""Makes a JSON string, letters unescaped. Raises TypeError at anything but text."""


class JSONText(str):
    """A JSON field's value as JSON text: exact, ready for the column as it is.

    `JSONText("null")` is JSON's null; None is SQL's NULL.
    """

    __slots__ = ()


_skim = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
"""Finds where a value ends, whatever its numbers."""


def row_digest(canonical: bytes) -> int:
    """One row's share of a table's digest: the SHA-256 of its canonical line, as a number."""
    return int.from_bytes(sha256(canonical).digest(), "big")


def digest_hex(total: int) -> str:
    """The sum of row digests as it stands in the manifest: 64 hexadecimal digits."""
    return f"{total % MODULUS:064x}"


def members(text: str, start: int = 0) -> Iterator[tuple[str, int, int]]:
    """The name of each member of the object at `start`, and where its value begins and ends.

    Raises ValueError where there is no JSON object.
    """
    opened = _OBJECT_START.match(text, start)
    if opened is None:
        raise ValueError("no JSON object")
    position = opened.end()
    while named := _MEMBER_NAME.match(text, position):
        _, end = _skim(text, named.end())
        name = named[1] if "\\" not in named[1] else json.loads(f'"{named[1]}"')
        yield name, named.end(), end
        separator = _MEMBER_END.match(text, end)
        if separator is None:
            raise ValueError(f"neither a comma nor a brace at {end}")
        position = separator.end()
        if separator[1] == "}":
            return
    if text[position : position + 1] != "}":
        raise ValueError(f"no member's name at {position}")


def canonical_json(text: str) -> str:
    """The one spelling of all JSON texts of one value: keys sorted, numbers by value.

    An engine may spell 100 as 100.0 or 1e2, order keys by length, escape letters or not.
    Raises ValueError where the text is no JSON.
    """
    try:
        return orjson.dumps(_with_fragments(text), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:
        return _spelled(_with_numbers(text))  # half a surrogate pair, or nested very deep


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


class _Number(str):
    """A number's text."""

    __slots__ = ()


def _spelled(tree: JSON) -> str:
    if isinstance(tree, _Number):
        return _canonical_number(tree)
    if isinstance(tree, dict):
        items = (f"{quote(name)}:{_spelled(tree[name])}" for name in sorted(tree))
        return "{" + ",".join(items) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(_spelled, tree)) + "]"
    return quote(tree) if isinstance(tree, str) else json.dumps(tree)


def _canonical_number(text: str) -> str:
    """Significant digits and exponent, or the plain integer where that is as short as any."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    minus, whole, part, exponent = found.groups("")
    significant = (whole + part).lstrip("0")
    stripped = significant.rstrip("0")
    if not stripped:
        return "0"
    power = int(exponent or 0) - len(part) + len(significant) - len(stripped)
    if power >= 0 and len(stripped) + power <= _PLAIN_DIGITS:
        return f"{minus}{stripped}{'0' * power}"
    return f"{minus}{stripped}e{power}"


def canonical_address(text: str) -> str:
    """An IP address's piece, IPv6 by its bytes: engines compress the same address differently."""
    if ":" not in text:
        return text
    try:
        return quote(socket.inet_pton(socket.AF_INET6, text.strip('"')).hex())
    except OSError:
        return text


@lru_cache(4096)
def _fragment(text: str) -> orjson.Fragment:
    """A number in the one spelling of its value, which orjson writes as it stands."""
    return orjson.Fragment(_canonical_number(text))


def _integer(text: str) -> int | orjson.Fragment:
    return int(text) if len(text) <= _PLAIN_DIGITS else _fragment(text)


def _parser(fraction: Callable[[str], Any], integer: Callable[[str], Any]) -> Callable[[str], JSON]:
    return json.JSONDecoder(parse_float=fraction, parse_int=integer, parse_constant=_refuse).decode


_with_fragments = _parser(_fragment, _integer)
_with_numbers = _parser(_Number, _Number)

Tree = dict[str, JSON]
Spans = dict[str, tuple[int, int]]
"""Where the value of each field begins and ends in the line's text."""

CANONICAL: Mapping[Kind, Callable[[str], str]] = {
    Kind.JSON: canonical_json,
    Kind.ADDRESS: canonical_address,
}
"""Kinds that engines are free to spell, and how their pieces enter the canonical line."""


def dissect(text: str) -> tuple[Tree, Spans]:
    """A line's members, `fields` left empty, and where the values of its fields stand.

    Raises ValueError where the text is no JSON object.
    """
    tree: Tree = {}
    spans: Spans = {}
    for name, start, end in members(text):
        if name == "fields":
            tree[name] = {}
            spans = {field: (first, last) for field, first, last in members(text, start)}
        else:
            tree[name] = json.loads(text[start:end])
    return tree, spans


def parted(text: str, names: Sequence[str]) -> tuple[Tree, Spans]:
    """The same of a line as Diskette writes it: only the values of `names` are left out.

    A field's name is looked for where the one before ended. It cannot be mistaken: in a text
    its quotes would be escaped, and other objects than those of `names` no line has. Raises
    ValueError for lines written otherwise, which need not be wrong.
    """
    spans: Spans = {}
    parts, position = [], text.index(_FIELDS)
    for name in names:
        start = text.index(f'"{name}":', position) + len(name) + 3
        _, end = _skim(text, start)
        spans[name] = start, end
        parts += [text[position:start], "null"]
        position = end
    rest = "".join([text[: text.index(_FIELDS)], *parts, text[position:]])
    return orjson.loads(rest), spans


def respelled(text: str, spans: Spans, spell: Mapping[str, Callable[[str], str]]) -> str:
    """The text with the values of some fields spelled anew."""
    parts, position = [], 0
    for name, (start, end) in spans.items():
        if name in spell:
            parts += [text[position:start], spell[name](text[start:end])]
            position = end
    return "".join([*parts, text[position:]])
