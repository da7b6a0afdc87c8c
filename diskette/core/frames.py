"""Zstandard files made of independent frames: squeezed ones, and stored ones for what is dense.

`zstd -d` and every library read such a file: frames simply follow one another, and a stored
frame is one of raw blocks (RFC 8878, sections 3.1.1 and 3.1.1.2). Photos and videos thus
cost the processor a copy, not a compression.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from diskette.core.checksum import Digest, DigestedSink, Source, Tally
from diskette.core.exceptions import ArchiveError

LEVEL = 3
FILES_LEVEL = 2
"""A quarter faster than 3. What that loses, larger batches mostly win back."""
BATCH_BYTES = 1 << 20
"""Small pieces are squeezed together, so many bytes at a time."""

LARGEST_WINDOW = 1 << 23
"""Memory a frame may ask of its reader: enough for every level up to `zstd -19`."""

_SHORTEST_STORED = 1 << 12
_SAMPLE_BYTES = 1 << 12
_DENSE_SHARE = 0.97
_BLOCK_BYTES = 1 << 17
_STORED_FRAME = bytes.fromhex("28b52ffd 00 38")
"""Magic number; no content size, checksum or dictionary; a window of one block."""


class FrameWriter:
    """A sink that writes a .zst file and knows its digest."""

    def __init__(self, target: DigestedSink) -> None:
        self._target = target
        self._compressor = zstandard.ZstdCompressor(level=FILES_LEVEL)
        self._probe = zstandard.ZstdCompressor(level=1)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_empty = True

    def write(self, chunk: bytes, /) -> None:
        if len(chunk) >= _SHORTEST_STORED and self._is_dense(chunk):
            self._squeeze()
            self._store(chunk)
            return
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._pending_bytes >= BATCH_BYTES:
            self._squeeze()

    def close(self) -> Digest:
        """Write what waits, and tell what the whole file holds."""
        self._squeeze()
        if self._is_empty:
            self._put(self._compressor.compress(b""))
        return self._target.close()

    def _squeeze(self) -> None:
        if self._pending:
            self._put(self._compressor.compress(b"".join(self._pending)))
            self._pending, self._pending_bytes = [], 0

    def _put(self, frame: bytes) -> None:
        self._target.write(frame)
        self._is_empty = False

    def _store(self, chunk: bytes) -> None:
        pieces: list[bytes | memoryview] = [_STORED_FRAME]
        view = memoryview(chunk)
        for start in range(0, len(view), _BLOCK_BYTES):
            block = view[start : start + _BLOCK_BYTES]
            last = start + _BLOCK_BYTES >= len(view)
            pieces += [(len(block) << 3 | last).to_bytes(3, "little"), block]
        self._put(b"".join(pieces))

    def _is_dense(self, chunk: bytes) -> bool:
        """Whether squeezing its middle gains nothing."""
        start = max(0, (len(chunk) - _SAMPLE_BYTES) // 2)
        sample = chunk[start : start + _SAMPLE_BYTES]
        return len(self._probe.compress(sample)) > len(sample) * _DENSE_SHARE


class OneFrame:
    """A sink that writes a .zst file of a single frame, for readers that know no more of them."""

    def __init__(self, target: BinaryIO) -> None:
        self._tally = Tally(target)
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        self._stream = compressor.stream_writer(cast("BinaryIO", self._tally), closefd=False)

    def write(self, chunk: bytes, /) -> None:
        self._stream.write(chunk)

    def close(self) -> Digest:
        """End the frame, and tell what the whole file holds."""
        self._stream.flush(zstandard.FLUSH_FRAME)
        return self._tally.close()


class FrameReader:
    """Reads a .zst file without trusting it. `archive` and `member` name it in errors."""

    def __init__(self, source: Source, *, archive: str, member: str) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        self._stream = decompressor.stream_reader(
            cast("BinaryIO", source), read_size=1 << 18, read_across_frames=True, closefd=False
        )
        self._archive, self._member = archive, member

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end. Raises ArchiveError for what is no zstd."""
        try:
            return self._stream.read(size)
        except zstandard.ZstdError as error:
            raise self._damaged(str(error)) from error

    def lines(self, longest: int) -> Iterator[bytes]:
        """Lines without their newline. Raises ArchiveError for one of more than `longest` bytes."""
        rest = b""
        while chunk := self.read(1 << 18):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > longest:
                raise self._damaged("a line too long for what it should hold")
        if rest:
            raise self._damaged("its last line is cut off")

    def _damaged(self, what: str) -> ArchiveError:
        why = f"{self._member} is damaged ({what}). Fetch it again or use another one."
        return ArchiveError(self._archive, why)


@contextmanager
def frames_of(member: Path | Source, *, archive: str, name: str) -> Iterator[FrameReader]:
    """Read a member that was extracted, or is read where it lies."""
    if isinstance(member, Path):
        with member.open("rb") as source:
            yield FrameReader(source, archive=archive, member=name)
    else:
        yield FrameReader(member, archive=archive, member=name)
