"""Zstandard files made of independent frames: squeezed ones, and stored ones for what is dense.

`zstd -d` and every library read such a file: frames simply follow one another, and a stored
frame is one of raw blocks (RFC 8878, sections 3.1.1 and 3.1.1.2). Photos and videos thus
cost the processor a copy, not a compression.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import BinaryIO, Protocol, Self, cast

import zstandard

from diskette.core.checksum import Digest, Source, Tally
from diskette.core.exceptions import ArchiveError

LEVEL = 3
BATCH_BYTES = 1 << 19
"""Small pieces are squeezed together, so many bytes at a time."""

LARGEST_WINDOW = 1 << 23
"""Memory a frame may ask of its reader: enough for every level up to `zstd -19`."""

_MOST_HANDED_OVER = 4
_SHORTEST_STORED = 1 << 12
_SAMPLE_BYTES = 1 << 12
_DENSE_SHARE = 0.97
_BLOCK_BYTES = 1 << 17
_STORED_FRAME = bytes.fromhex("28b52ffd 00 38")
"""Magic number; no content size, checksum or dictionary; a window of one block."""


class FrameWriter:
    """A sink that writes a .zst file and knows its digest."""

    def __init__(self, target: BinaryIO) -> None:
        self._tally = Tally(target)
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._probe = zstandard.ZstdCompressor(level=1)
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    @property
    def written(self) -> int:
        """Bytes of the file so far."""
        return self._tally.bytes

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
        if not self._tally.bytes:
            self._tally.write(self._compressor.compress(b""))
        return self._tally.digest()

    def _squeeze(self) -> None:
        if self._pending:
            self._tally.write(self._compressor.compress(b"".join(self._pending)))
            self._pending, self._pending_bytes = [], 0

    def _store(self, chunk: bytes) -> None:
        pieces: list[bytes | memoryview] = [_STORED_FRAME]
        view = memoryview(chunk)
        for start in range(0, len(view), _BLOCK_BYTES):
            block = view[start : start + _BLOCK_BYTES]
            last = start + _BLOCK_BYTES >= len(view)
            pieces += [(len(block) << 3 | last).to_bytes(3, "little"), block]
        self._tally.write(b"".join(pieces))

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
        return self._tally.digest()


class Frames(Protocol):
    """What a relay writes to."""

    def write(self, chunk: bytes, /) -> None: ...

    def close(self) -> Digest: ...


class Relay:
    """Lets a thread squeeze and write, while the caller reads on.

    Chunks are handed over some hundred kilobytes at a time, a few at most: memory stays flat.
    What goes wrong in the thread is raised by the next `write`, or by `close`.
    """

    def __init__(self, target: Frames) -> None:
        self._target = target
        self._queue: Queue[list[bytes] | None] = Queue(_MOST_HANDED_OVER)
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="diskette-frames", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def write(self, chunk: bytes, /) -> None:
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= BATCH_BYTES:
            self._hand_over()

    def close(self) -> Digest:
        """Wait until all is written, and tell what the whole file holds."""
        self._hand_over()
        self._end()
        self._raise()
        return self._target.close()

    def _hand_over(self) -> None:
        self._raise()
        self._queue.put(self._chunks)
        self._chunks, self._waiting = [], 0

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (chunks := self._queue.get()) is not None:
            if self._error is not None:
                continue  # the caller is told; what it still sends is of no use
            try:
                for chunk in chunks:
                    self._target.write(chunk)
            except BaseException as error:  # noqa: BLE001 - raised again where it can be handled
                self._error = error


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
