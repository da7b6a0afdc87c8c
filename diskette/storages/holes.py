"""The holes of sparse files: stretches that were never written and take no room.

Virtual disks, databases and files that a download filled ahead have them. They are neither
read nor written, and come back as holes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from diskette.core.tar import BLOCK_BYTES, MOST_EXTENTS, Extents

_UNKNOWN = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
"""What systems say that cannot tell where holes are."""


def data_extents(opened: int, status: os.stat_result) -> Extents | None:
    """Where a file's data lies; None for one without holes, or where nobody knows.

    Stretches begin and end at multiples of tar's blocks. Past the last that a header can name,
    holes are taken for zeros.
    """
    if status.st_blocks * 512 >= status.st_size:
        return None
    try:
        extents = tuple(_extents(opened, status.st_size))
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        return None
    return None if sum(length for _, length in extents) == status.st_size else extents


def _extents(opened: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    for number in range(1, MOST_EXTENTS + 1):
        start = _next(opened, end, os.SEEK_DATA, size)
        if start >= size:
            return
        start -= start % BLOCK_BYTES
        end = _next(opened, start, os.SEEK_HOLE, size) if number < MOST_EXTENTS else size
        end = min(size, end + -end % BLOCK_BYTES)
        yield start, end - start


def _next(opened: int, at: int, what: int, size: int) -> int:
    """Where the next data or hole begins; `size` if there is none."""
    try:
        return os.lseek(opened, at, what) if at < size else size
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size
