"""What keeps a late copy of some work from changing anything that counts."""

from __future__ import annotations

from collections.abc import Callable

Fence = Callable[[], None]
"""Raises where another process has taken the work over."""


def unfenced() -> None:
    """Nobody else does it."""
