"""From where on something about the backups counts as trouble."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from diskette.core.exceptions import ConfigurationError

MOST = 1_000_000
"""Of hours, a century: no instant lies much longer ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None: this is not looked at."""

    archive_hours: float | None = 26
    """How old the newest archive may be: a night, and what a dump takes longer."""
    size_percent: float | None = 50
    """How far its size may lie from the median of those before it."""
    drill_days: float | None = 35
    """How long ago an archive may have been proven to be restorable."""
    failures: float | None = 2
    """So many runs of one kind that failed in a row are too many."""
    free_percent: float | None = 10
    """How much of the destination's disk has to be free."""
    sweep_minutes: float | None = 15
    """How long ago a worker may have swept."""
    workers: float | None = 1
    """How many workers have to serve the queue of dumps."""
    run_hours: float | None = 12
    """How long a run may take."""

    @classmethod
    def from_setting(cls, value: Mapping[str, Any], where: str = "DISKETTE_HEALTH") -> Self:
        """From a dict such as {"archive_hours": 50}; ConfigurationError has every problem."""
        names = [each.name for each in fields(cls)]
        problems = [why for item in value.items() for why in _problems(*item, where, names)]
        if problems:
            raise ConfigurationError(*problems)
        return cls(**value)


def _problems(name: Any, given: Any, where: str, names: list[str]) -> Iterator[str]:
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(names)}."
        yield f"{where}: {name!r} is no limit. {cure}"
    elif given is not None and not _is_positive(given):
        wanted = "a number above 0, a million at most, or None"
        yield f"{where}[{name!r}] must be {wanted}, not {given!r:.60}."


def _is_positive(given: Any) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool) and 0 < given <= MOST
