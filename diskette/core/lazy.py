"""Modules that are imported when something of them is asked for.

Every command of a project, and each of its web processes, imports what its applications
register at the start. What only a run needs, or only a run with rows, waits until then.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazy:
    """Stands in for a module of that name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)
