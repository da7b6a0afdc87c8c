"""The tests' site with the storages of the original's, in its own directory."""

from __future__ import annotations

from tests.original import files
from tests.site.settings import *  # noqa: F403
from worker.settings import VAR

DISKETTE_STORAGES = [VAR / name for name in files.STORAGES]
DISKETTE_LOAD_STORAGES_PATH = VAR
