"""The project that every tool dumps and loads.

The original Diskette lives in an environment without this repository's requirements, so
nothing in here imports more than Django.
"""

from __future__ import annotations
