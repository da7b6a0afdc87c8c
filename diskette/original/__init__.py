"""Archives of the original, synchronous Diskette, made into archives of ours.

Its archives are gzipped tar files of Django's fixtures and of media. A load converts one as it
fetches it; from then on there is one way for all. What such an archive does not say, the
manifest made for it calls unknown.
"""

from __future__ import annotations

from diskette.original.making import Converted, convert
from diskette.original.spool import is_gzip

__all__ = ["Converted", "convert", "is_gzip"]
