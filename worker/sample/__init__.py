"""A sample project: four applications with related models, files, and tasks of its own.

`sample_fill` makes its rows and media, the same ones for the same seed; `sample_compare`
compares two sites with code that shares nothing with Diskette.
"""

from __future__ import annotations
