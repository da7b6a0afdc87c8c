"""Archives of the original, synchronous Diskette, made into archives of ours.

Its archives are gzipped tar files of Django's fixtures and of media. A load converts one as it
fetches it; from then on there is one way for all. What such an archive does not say, the
manifest made for it calls unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diskette import conf
from diskette.core.checksum import Tick, uncounted
from diskette.core.files import is_gzip
from diskette.core.workspace import borrowed
from diskette.original.making import Converted, convert

__all__ = ["Converted", "convert", "converted", "readable"]


@contextmanager
def readable(archive: Path) -> Iterator[Path]:
    """The archive itself, or for a while a copy made in our form of one of the original's."""
    if is_gzip(archive):
        with converted(archive) as made:
            yield made.path
    else:
        yield archive


@contextmanager
def converted(archive: Path, tick: Tick = uncounted) -> Iterator[Converted]:
    """For a while, a copy in our form of all that one of the original's holds."""
    with borrowed(conf.workspace_root(), conf.lease()) as directory:
        yield convert(archive, directory / "original", data=True, storages=True, tick=tick)
