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
    layout = staging.engine.layout
    staged = sum(layout.staged(entry, model) for model, entry in entries.items())
    return _beside(staging, staged, "the staged rows")


def to_apply(staging: Staging, entries: Entries) -> Need:
    """For the rows as live ones, while those that they replace are still kept."""
    engine = staging.engine
    needed = engine.room_to_apply(entries)
    return Need(directory=engine.volume(), bytes=needed, place="database", why="the live rows")


def to_apply_beside(staging: Staging, entries: Entries) -> Need:
    """For the rows in a scratch database, which has none."""
    layout = staging.engine.layout
    needed = sum(layout.live(entry, model) for model, entry in entries.items())
    return _beside(staging, needed, "the restored rows")


def taken(staging: Staging) -> int:
    """Bytes that the live database takes now."""
    with staging.engine.explained():
        return staging.engine.taken()


def _beside(staging: Staging, size: int, why: str) -> Need:
    """Where an engine keeps what is none of the live database."""
    directory = staging.engine.staged_in()
    place = "workspace" if directory == staging.workspace else "database"
    return Need(directory=directory, bytes=size, place=place, why=why)
