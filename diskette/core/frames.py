"""Zstandard files made of independent frames: squeezed ones, and stored ones for what is dense.

`zstd -d` and every library read such a file: frames simply follow one another, and a stored
frame is one of raw blocks (RFC 8878, sections 3.1.1 and 3.1.1.2). Photos and videos thus
cost the processor a copy, not a compression.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from itertools import chain, groupby
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from diskette.core.checksum import Digest, DigestedSink, Source, Tally
from diskette.core.exceptions import ArchiveError
from diskette.core.relay import Aside

LEVEL = 3
FILES_LEVEL = 2
"""A quarter faster than 3. What that loses, larger batches mostly win back."""
BATCH_BYTES = 1 << 20
"""Small pieces are squeezed together, so many bytes at a time."""

LARGEST_WINDOW = 1 << 23
"""Memory a frame may ask of its reader: enough for every level up to `zstd -19`."""

_MOST_BATCHES = 8
"""Where so many are not written yet, the caller waits for the thread, and memory stays flat."""
_READ_BYTES = 1 << 19
_SHORTEST_STORED = 1 << 12
_SAMPLE_BYTES = 1 << 12
_DENSE_SHARE = 0.97
_BLOCK_BYTES = 1 << 17
_STORED_FRAME = bytes.fromhex("28b52ffd 00 38")
"""Magic number; no content size, checksum or dictionary; a window of one block."""
_MAGIC = _STORED_FRAME[:4]
_LONGEST_HEADER = 18
_LARGEST_FRAME = 8 << 20
"""Bytes, of content too: four times what is squeezed or stored at a time."""
_REPEATED, _COMPRESSED = 1, 2
"""Kinds of blocks; 0 is raw."""


class FrameWriter:
    """A sink that writes a .zst file and knows its digest."""

    def __init__(self, target: DigestedSink) -> None:
        self._target = target
        self._squeezer = _Squeezer()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_empty = True

    def write(self, chunk: bytes, /) -> None:
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._pending_bytes >= BATCH_BYTES:
            self._hand_over()

    def close(self) -> Digest:
        """Write what waits, and tell what the whole file holds."""
        self._end()
        return self._target.close()

    def _end(self) -> None:
        if self._pending or self._is_empty:
            self._hand_over()

    def _hand_over(self) -> None:
        chunks, self._pending = self._pending, []
        self._pending_bytes, self._is_empty = 0, False
        self._take(chunks)

    def _take(self, chunks: Sequence[bytes]) -> None:
        self._target.write(self._squeezer.frames(chunks))


class ThreadedFrameWriter(FrameWriter):
    """The same, squeezing aside, while the caller reads on and writes.

    Where that falls behind, the caller squeezes too: both always have something to do.
    """

    def __init__(self, target: DigestedSink, aside: Aside) -> None:
        super().__init__(target)
        self._aside, self._squeezer_aside = aside, _Squeezer()
        self._batches: deque[_Batch] = deque()
        """In their order, as far as they are not written."""

    def _end(self) -> None:
        super()._end()
        self._aside.finish()
        self._write_out()

    def _take(self, chunks: Sequence[bytes]) -> None:
        batch = _Batch(chunks)
        self._batches.append(batch)
        if self._aside.is_behind and len(self._batches) < _MOST_BATCHES:
            batch.squeeze(self._squeezer)
        else:
            self._aside.do(batch.squeeze, self._squeezer_aside, weight=BATCH_BYTES)
        self._write_out()

    def _write_out(self) -> None:
        while self._batches and (frames := self._batches[0].frames):
            self._batches.popleft()
            self._target.write(frames)


class _Batch:
    __slots__ = ("_chunks", "frames")

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks
        self.frames = b""
        """Once it is squeezed."""

    def squeeze(self, squeezer: _Squeezer) -> None:
        self.frames = squeezer.frames(self._chunks)
        self._chunks = ()


class _Squeezer:
    """Makes frames of a batch; for one thread at a time."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=FILES_LEVEL)
        self._probe = zstandard.ZstdCompressor(level=1)

    def frames(self, chunks: Sequence[bytes]) -> bytes:
        """A frame for each dense chunk, and one for all between two of them; never none."""
        if not chunks:
            return self._compressor.compress(b"")
        pieces: list[bytes | memoryview] = []
        for dense, run in groupby(chunks, self._is_dense):
            if dense:
                pieces += chain.from_iterable(map(_stored, run))
            else:
                pieces.append(self._compressor.compress(b"".join(run)))
        return b"".join(pieces)

    def _is_dense(self, chunk: bytes) -> bool:
        """Whether squeezing its middle gains nothing."""
        if len(chunk) < _SHORTEST_STORED:
            return False
        start = (len(chunk) - _SAMPLE_BYTES) // 2
        sample = chunk[start : start + _SAMPLE_BYTES]
        if sample.isascii():
            return False  # an eighth at least is gained where no byte has its highest bit
        return len(self._probe.compress(sample)) > len(sample) * _DENSE_SHARE


def _stored(chunk: bytes) -> Iterator[bytes | memoryview]:
    """The pieces of a frame of raw blocks."""
    yield _STORED_FRAME
    view = memoryview(chunk)
    for start in range(0, len(view), _BLOCK_BYTES):
        block = view[start : start + _BLOCK_BYTES]
        last = start + _BLOCK_BYTES >= len(view)
        yield (len(block) << 3 | last).to_bytes(3, "little")
        yield block


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
        raw = decompressor.stream_reader(
            cast("BinaryIO", source), read_size=1 << 18, read_across_frames=True, closefd=False
        )
        # Each call of it lets another thread run first, so small pieces come out of a buffer.
        self._stream = BufferedReader(raw, _READ_BYTES)
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


class MendingFrames:
    """The content of a damaged .zst file, with zeros in place of what is lost of it.

    Frames follow one another, so a damaged one hides none of the others, if it says how long its
    content is. Where that is lost, too, the content ends, for nobody knows where the rest belongs.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._raw = bytearray()
        """What was read and not yet used; it begins with a frame."""
        self._ready = memoryview(b"")
        self._has_ended = False

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""
        while not self._ready and not self._has_ended:
            self._ready = memoryview(self._next())
        chunk, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return chunk

    def _next(self) -> bytes:
        """The content of the next frame."""
        if not self._holds(1):
            return self._end()
        length, size = self._length(0), self._size()
        content = self._content(length, size)
        if content is None and (length is None or not self._is_followed(length)):
            length, size = self._until_next(size)
        if length is None or size is None:
            return self._end()
        del self._raw[:length]
        return bytes(size) if content is None else content

    def _content(self, length: int | None, size: int | None) -> bytes | None:
        """What the first frame holds, if it is as much as it says.

        A stored one does not say it, but has to be followed by another, or by nothing.
        """
        if length is None or size is None or (self._is_stored() and not self._is_followed(length)):
            return None
        decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        try:
            with decompressor.stream_reader(bytes(self._raw[:length])) as stream:
                content: bytes = stream.read(size + 1)
        except zstandard.ZstdError:
            return None
        return content if len(content) == size else None

    def _end(self) -> bytes:
        self._has_ended = True
        return b""

    def _holds(self, size: int) -> bool:
        """Whether so many bytes are left, and now at hand."""
        while len(self._raw) < size and (chunk := self._source.read(1 << 18)):
            self._raw += chunk
        return len(self._raw) >= size

    def _length(self, start: int) -> int | None:
        """Bytes of the frame that begins there, found from block to block; None: none is whole."""
        self._holds(start + _LONGEST_HEADER)
        try:
            head = bytes(self._raw[start : start + _LONGEST_HEADER])
            place = start + zstandard.frame_header_size(head)
            ending = 4 if zstandard.get_frame_parameters(head).has_checksum else 0
        except zstandard.ZstdError:
            return None
        is_last = False
        while not is_last:
            if not self._holds(place + 3) or place - start > _LARGEST_FRAME:
                return None
            is_last, kind, size = _block(self._raw[place : place + 3])
            if kind > _COMPRESSED or size > _BLOCK_BYTES:
                return None
            place += 3 + (1 if kind == _REPEATED else size)
        return place + ending - start if self._holds(place + ending) else None

    def _is_stored(self) -> bool:
        return self._raw.startswith(_STORED_FRAME)

    def _is_followed(self, place: int) -> bool:
        """Whether another frame begins there, or nothing does; else a block's length was wrong."""
        if not self._holds(place + 1):
            return True
        return self._holds(place + len(_MAGIC)) and self._raw.startswith(_MAGIC, place)

    def _size(self) -> int | None:
        """Bytes of the first frame's content, as it says."""
        if self._is_stored():
            length = self._length(0)
            return None if length is None else _stored_size(length)
        head = bytes(self._raw[:_LONGEST_HEADER])
        try:
            size = zstandard.get_frame_parameters(head).content_size
        except zstandard.ZstdError:
            return None
        return size if size <= _LARGEST_FRAME else None

    def _until_next(self, size: int | None) -> tuple[int | None, int | None]:
        """The same two numbers for a frame whose blocks do not say where it ends."""
        place: int | None = 0
        while place is not None and (place := self._find(place + 1)) is not None:
            length = self._length(place)
            if length is not None and self._is_followed(place + length):
                return place, _stored_size(place) if self._is_stored() else size
        return None, None

    def _find(self, start: int) -> int | None:
        """Where a frame may begin next."""
        while True:
            place = self._raw.find(_MAGIC, start)
            if place >= 0:
                return place
            start = max(start, len(self._raw) - len(_MAGIC) + 1)
            if start > _LARGEST_FRAME or not self._holds(len(self._raw) + 1):
                return None


def _block(header: bytes | bytearray) -> tuple[bool, int, int]:
    """Whether a block is the last one, its kind, and its bytes (RFC 8878, section 3.1.1.2)."""
    number = int.from_bytes(header, "little")
    return bool(number & 1), number >> 1 & 3, number >> 3


def _stored_size(length: int) -> int:
    """Bytes of content in a stored frame of so many bytes."""
    rest = length - len(_STORED_FRAME)
    return rest - 3 * -(-rest // (_BLOCK_BYTES + 3))
