"""A fixture of JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator

from diskette.original.reading import CHUNK_BYTES, Bounded, FixtureRow
from diskette.original.reading_json import row


def rows(source: Bounded) -> Iterator[FixtureRow]:
    """Raises ValueError for what is no row."""
    for line in _lines(source):
        if text := line.strip():
            yield row(text)


def _lines(source: Bounded) -> Iterator[bytes]:
    pieces: list[bytes] = []
    while chunk := source.read(CHUNK_BYTES):
        first, *others = chunk.split(b"\n")
        pieces.append(first)
        for other in others:
            yield b"".join(pieces)
            pieces = [other]
    yield b"".join(pieces)
