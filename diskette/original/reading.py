"""The rows of a fixture as Django's serializers write it, one after another.

However large a fixture is, one row of it is held. It is input, not truth: whatever is wrong
with it ends as ValueError, and a row of impossible length before the memory is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module

from diskette.core.checksum import Source, Tick
from diskette.core.report import JSON

CHUNK_BYTES = 1 << 18
BLANK = b" \t\r\n"
PEEKED_BYTES = 1 << 12
LONGEST_ROW = 1 << 28
"""Bytes. A field of 100 MB, in base64 and squared up, is held several times while it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureRow:
    """One object of a fixture."""

    model: str
    """Label as it stands there: `auth.user`."""
    pk: JSON = None
    fields: dict[str, JSON] = field(default_factory=dict)
    """Values as the format gives them."""
    is_text: bool = False
    """Whether every value is text, spelled as its field spells it: in XML."""
    text: bytes = b""
    """The whole row, where it is JSON: `pk` and `fields` are to be read from that."""


class Bounded:
    """A source that refuses to be read on and on for one row. Ticks the bytes read."""

    def __init__(self, source: Source, tick: Tick) -> None:
        self._source, self._tick = source, tick
        self._since = 0
        self._peeked = b""

    def read(self, size: int, /) -> bytes:
        chunk, self._peeked = self._peeked, b""
        if not chunk:
            chunk = self._source.read(size)
            self._tick(len(chunk))
            self._since += len(chunk)
        if self._since > LONGEST_ROW:
            raise ValueError(f"a row of more than {LONGEST_ROW >> 20} MB")
        return chunk

    def peek(self) -> bytes:
        """What comes first. To be asked before anything is read."""
        self._peeked = self.read(PEEKED_BYTES)
        return self._peeked

    def begin(self) -> None:
        """A new row."""
        self._since = 0


def rows(source: Bounded) -> Iterator[FixtureRow]:
    """Every object of a fixture, whatever format it is in. Raises ValueError.

    Its name does not tell: the original wrote JSON whatever ending a definition asked for, unless
    a command of the project's wrote something else.
    """
    start = source.peek().lstrip(BLANK)
    if start:
        module = import_module(f"diskette.original.{_FORMATS.get(start[:1], _ELSE)}")
        for row in module.rows(source):
            source.begin()
            yield row


_FORMATS = {b"[": "reading_json", b"{": "reading_jsonl", b"<": "reading_xml"}
_ELSE = "reading_yaml"
"""What one format needs is imported when such a fixture comes."""
