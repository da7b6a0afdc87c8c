"""SHA-256 and size of files and streams, found while they are copied: each byte is read once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1 << 20

BLAKE2B_DIGITS = 128

Tick = Callable[[int], None]
"""Called with how many more bytes are done; raises Stopped when the work must end."""


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, chunk: bytes, /) -> object: ...


class DigestedSink(Sink, Protocol):
    """One that, once all is written, knows what it took."""

    def close(self) -> Digest: ...


class Source(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a file or a stream held."""

    hex: str
    """SHA-256, 64 hexadecimal digits."""
    size: int
    """Bytes."""


class Tally:
    """A sink that counts and digests what passes, and hands it on to `target`."""

    def __init__(self, target: Sink | None = None) -> None:
        self._target = target
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, chunk: bytes, /) -> None:
        if self._target is not None:
            self._target.write(chunk)
        self._sha256.update(chunk)
        self.bytes += len(chunk)

    def close(self) -> Digest:
        return Digest(hex=self._sha256.hexdigest(), size=self.bytes)


def copy_with_digest(
    source: Source, target: Sink | None, *, tick: Tick, at_most: int | None = None
) -> Digest:
    """Copy everything, or the next `at_most` bytes, and tell what was copied.

    Without a target the bytes are only read.
    """
    tally = Tally(target)
    left = at_most
    while chunk := source.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
        tally.write(chunk)
        left = None if left is None else left - len(chunk)
        tick(len(chunk))
    return tally.close()


def uncounted(_: int, /) -> None:
    """A tick for work that nobody watches."""


def digest_of(path: Path, tick: Tick = uncounted) -> Digest:
    """Read a whole file."""
    with path.open("rb") as stream:
        return copy_with_digest(stream, None, tick=tick)


def blake2b_of(path: Path, tick: Tick = uncounted) -> str:
    """The digest by which the original Diskette knows its archives."""
    digest = hashlib.blake2b()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            tick(len(chunk))
    return digest.hexdigest()
