"""How much room an archive's rows take while they are staged and applied, and where."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Model

from diskette.core.manifest import ModelEntry
from diskette.core.space import Need
from diskette.data.stage import Staging

Entries = Mapping[type[Model], ModelEntry]


def to_stage(staging: Staging, entries: Entries) -> Need:
    """For the rows beside the live ones."""
    engine = staging.engine
    staged = sum(engine.layout.staged(entry, model) for model, entry in entries.items())
    place = "workspace" if engine.staged_in() == staging.workspace else "database"
    return Need(directory=engine.staged_in(), bytes=staged, place=place, why="the staged rows")


def to_apply(staging: Staging, entries: Entries) -> Need:
    """For the rows as live ones, while those that they replace are still kept."""
    engine = staging.engine
    needed = engine.room_to_apply(entries)
    return Need(directory=engine.volume(), bytes=needed, place="database", why="the live rows")


def taken(staging: Staging) -> int:
    """Bytes that the live database takes now."""
    with staging.engine.explained():
        return staging.engine.taken()
