"""A fixture of JSON: one list of objects, cut into their texts without reading their values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import orjson

from diskette.core.report import JSON
from diskette.original.reading import BLANK, CHUNK_BYTES, Bounded, FixtureRow

_BRACKET: Final = re.compile(
    rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([\[\]{}])', re.DOTALL
)
"""Up to the next bracket that stands in no text."""
_MODEL: Final = re.compile(rb'\{\s*"model":\s*"([\w.]+)"')


def rows(source: Bounded) -> Iterator[FixtureRow]:
    """Raises ValueError for what is no list of rows."""
    for text in _objects(source):
        yield row(text)


def row(text: bytes) -> FixtureRow:
    """One object. Raises ValueError where it is no row."""
    found = _MODEL.match(text)
    return FixtureRow(model=found[1].decode() if found else _model(loads(text)), text=text)


def loads(text: bytes) -> JSON:
    """Python's own writes and reads numbers that are no JSON: NaN, Infinity."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _model(tree: JSON) -> str:
    model = tree.get("model") if isinstance(tree, dict) else None
    if not isinstance(model, str):
        raise ValueError("an object without a model")  # noqa: TRY004 - as any other bad row
    return model


def _objects(source: Bounded) -> Iterator[bytes]:
    """The text of each object in the list."""
    cutter = _Cutter(source)
    if cutter.next() != b"[" or cutter.before.strip(BLANK):
        raise ValueError("no list of rows")
    separator = b""
    while (bracket := cutter.next()) == b"{":
        if cutter.before.strip(BLANK) != separator:
            raise ValueError("something else than rows in the list")
        yield cutter.rest_of_object()
        separator = b","
    if bracket != b"]" or cutter.before.strip(BLANK) or cutter.rest().strip(BLANK):
        raise ValueError("something else than rows in the list, or after it")


class _Cutter:
    """Goes from bracket to bracket, reading on as it must."""

    def __init__(self, source: Bounded) -> None:
        self._source = source
        self._text = b""
        self._start = self._at = 0
        self.before = b""
        """What stands between the last two brackets."""

    def next(self) -> bytes:
        """The next bracket. Raises ValueError where the text ends without one."""
        self._start = self._at
        found = self._found()
        self.before = self._text[self._start : found.start(1)]
        self._start, self._at = found.start(1), found.end()
        return found[1]

    def rest_of_object(self) -> bytes:
        """From the brace that was found last to the one that closes it."""
        depth = 1
        while depth:
            found = self._found()
            depth += 1 if found[1] in b"[{" else -1
            self._at = found.end()
        return self._text[self._start : self._at]

    def rest(self) -> bytes:
        """What follows, up to a chunk; all of it must be blank, so more is not needed."""
        return self._text[self._at :] + self._source.read(CHUNK_BYTES)

    def _found(self) -> re.Match[bytes]:
        while not (found := _BRACKET.match(self._text, self._at)):
            self._read_on()
        return found

    def _read_on(self) -> None:
        """Twice as much each time, so that a long text is not searched again and again."""
        kept = self._text[self._start :]
        chunk = self._source.read(max(CHUNK_BYTES, len(kept)))
        if not chunk:
            raise ValueError("it ends in the middle")
        self._text = kept + chunk
        self._at -= self._start
        self._start = 0
