"""Directories of files: collected into an archive, staged beside their place, swapped in.

Collecting and staging stream: memory does not grow with the files. Links are kept as links
and never followed, on the way out or in. Shapes and rules: docs/archive.md.
"""

from __future__ import annotations

from diskette.storages.collecting import StoragePart, collect
from diskette.storages.configured import Storage, live_path, resolve
from diskette.storages.guarding import check
from diskette.storages.measuring import Measure, measure
from diskette.storages.mended import Loss, examine
from diskette.storages.places import staged_in
from diskette.storages.proving import prove
from diskette.storages.staging import salvage, stage
from diskette.storages.swapping import discard, require_staged, settle, swap
from diskette.storages.walking import Excludes, walk

__all__ = [
    "Excludes",
    "Loss",
    "Measure",
    "Storage",
    "StoragePart",
    "check",
    "collect",
    "discard",
    "examine",
    "live_path",
    "measure",
    "prove",
    "require_staged",
    "resolve",
    "salvage",
    "settle",
    "stage",
    "staged_in",
    "swap",
    "walk",
]
