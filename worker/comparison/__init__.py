"""Two sites compared, value by value and byte by byte: the judge of the demos and the tests.

It reads the tables by plain SQL and knows neither Django's models nor anything of
Diskette, so that it cannot share a mistake with what it judges. Whole tables are held in
memory. Instants in a database are taken to be in UTC (`USE_TZ`).
"""

from __future__ import annotations

from worker.comparison.contents import Contents, Side, picture, read
from worker.comparison.differences import Comparison, Difference, compare, differences

__all__ = [
    "Comparison",
    "Contents",
    "Difference",
    "Side",
    "compare",
    "differences",
    "picture",
    "read",
]
