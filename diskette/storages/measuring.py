"""How much there is to collect of a storage, and roughly what will come of it.

Sizes are looked up, not read; of a few files, the larger ones more likely, a piece is
squeezed as collecting would, to see how dense a storage is.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappush, heappushpop
from pathlib import Path
from random import Random

from diskette.core.checksum import Tally
from diskette.core.frames import FrameWriter
from diskette.core.tar import END
from diskette.storages.configured import Storage
from diskette.storages.holes import data_extents
from diskette.storages.walking import READ_FILE, Excludes, Found, walk

SAMPLE_FILES = 64
PIECE_BYTES = 1 << 16
ENTRY_BYTES = 50
"""Of an entry, in the tree and in the index each: what is left of its header or its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How much there is to collect, and how much of an archive that is likely to be."""

    files: int
    bytes: int
    packed_tree: int
    packed_index: int


def measure(storage: Storage) -> Measure:
    """Count files and links, and bytes of files; read pieces of some."""
    entries = files = size = 0
    sample = _Sample()
    for found in walk(storage.root, Excludes(storage.excludes), _unnoted):
        mode = found.status.st_mode
        entries += 1
        files += not stat.S_ISDIR(mode)
        if stat.S_ISREG(mode) and (to_read := _to_read(found)):
            size += to_read
            sample.offer(found.path, to_read)
    return Measure(
        files=files,
        bytes=size,
        packed_tree=int(size * sample.density(storage.root)) + entries * ENTRY_BYTES + len(END),
        packed_index=entries * ENTRY_BYTES,
    )


class _Sample:
    """Files drawn at random, each as likely as it is large (Efraimidis and Spirakis, 2006)."""

    def __init__(self) -> None:
        self._random = Random(0)  # noqa: S311 - the same files each time, not secrets
        self._drawn: list[tuple[float, str]] = []

    def offer(self, path: str, size: int) -> None:
        lot = (math.log(self._random.random() or 1e-300) / size, path)
        if len(self._drawn) < SAMPLE_FILES:
            heappush(self._drawn, lot)
        elif lot > self._drawn[0]:
            heappushpop(self._drawn, lot)

    def density(self, root: Path) -> float:
        """Bytes of an archive for each byte of these files; 1 where none can be read."""
        packed = Tally()
        frames, read = FrameWriter(packed), 0
        for piece in self._pieces(root):
            frames.write(piece)
            read += len(piece)
        frames.close()
        return min(1.0, packed.bytes / read) if read else 1.0

    def _pieces(self, root: Path) -> Iterator[bytes]:
        for _, path in self._drawn:
            try:
                opened = os.open(root / path, READ_FILE)
            except OSError:
                continue  # collecting tells what could not be read
            try:
                yield _middle(opened)
            except OSError:
                continue
            finally:
                os.close(opened)


def _middle(opened: int) -> bytes:
    """A piece of a file; of a sparse one, of its data."""
    status = os.fstat(opened)
    extents = data_extents(opened, status) or ((0, status.st_size),)
    start, length = extents[len(extents) // 2]
    return os.pread(opened, PIECE_BYTES, start + max(0, length - PIECE_BYTES) // 2)


def _to_read(found: Found) -> int:
    """Bytes of a file without its holes."""
    size = found.status.st_size
    if found.status.st_blocks * 512 >= size:
        return size
    try:
        source = os.open(found.name, READ_FILE, dir_fd=found.directory)
    except OSError:
        return 0  # collecting tells what could not be read
    try:
        extents = data_extents(source, found.status)
    finally:
        os.close(source)
    return size if extents is None else sum(length for _, length in extents)


def _unnoted(_: str, __: OSError) -> None:
    """For a walk that only counts; collecting tells what could not be read."""
