"""How much room rows take in a database, worked out before any is written.

From what a manifest counts: rows, and bytes of their lines. A line names its model and its
fields, which no database keeps; what is left are the values, spelled as JSON. Of those of a
fixed kind the width is known in both shapes, and the rest is taken as it stands. How rows
lie in pages, and what an index takes of each, is the engine's.

Roughly, then: within a quarter of what was measured (tests/test_room.py), more where many
values are null, less where texts are far longer than a page and the server squeezes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import AutoField, IntegerField, Model

from diskette.core.manifest import ModelEntry
from diskette.data import tables
from diskette.data.kinds import AnyField, Kind, kind_of, root_of

SPELLED: Mapping[Kind, int] = {
    Kind.INTEGER: 4,
    Kind.FLOAT: 18,
    Kind.DECIMAL: 9,
    Kind.BOOLEAN: 5,
    Kind.DATE: 12,
    Kind.TIME: 17,
    Kind.INSTANT: 33,
    Kind.DURATION: 18,
    Kind.UUID: 38,
    Kind.ADDRESS: 15,
}
"""Bytes of a value in a line, quotes and all, where the kind alone tells it."""
INDEXED_TEXT = 24
"""Bytes of a text that is worth an index."""
STAGED_COLUMNS = 10
"""Bytes of what staging keeps beside a row: its line, and what was refused of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How an engine keeps rows. All in bytes, but for `filled`."""

    page: int
    row: int
    """Of each row, beside its values."""
    entry: int
    """Of each entry of an index, beside its key."""
    filled: float
    """Of an index's pages, as inserting leaves them."""
    widths: Mapping[Kind, int]
    clusters: bool = False
    """Whether the rows lie in the primary key's own index, and are named by it in others."""
    is_row_number: bool = False
    """Whether a key that is an integer costs no index."""
    patterns: bool = False
    """Whether Django gives an index of texts a twin, for LIKE."""
    extent: int = 0
    """What a table that has outgrown single pages grows by; 0: a page."""
    reserve: int = 0
    """What such a table keeps for later."""
    staged_page: int = 0
    """Of staging's own file; 0: as everywhere."""
    staged_indexes: bool = True
    """Whether staging has indexes of the keys."""

    def staged(self, entry: ModelEntry, model: type[Model]) -> int:
        """Bytes of a model's staged rows."""
        indexes = _looked_up(model) if self.staged_indexes else ()
        return self._table(
            entry.rows,
            self._row(entry, model) + STAGED_COLUMNS,
            [self._key(model, each) for each in indexes],
            self.staged_page or self.page,
        )

    def live(self, entry: ModelEntry, model: type[Model]) -> int:
        """Bytes that its rows add to its table and the indexes that Django has made of it."""
        keys = [self._key(model, each) for each in self._indexes(model)]
        return self._table(entry.rows, self._row(entry, model), keys, self.page)

    def _table(self, rows: int, width: int, keys: Sequence[int], page: int) -> int:
        # A row takes its share of a page that has room for so many whole ones.
        taken = rows * (page / (page // width) if width < page else float(width))
        taken += sum(rows * (self.entry + key) / self.filled for key in keys)
        if self.extent and taken > self.extent / 2:
            return math.ceil(taken / self.extent) * self.extent + self.reserve
        return int(taken)

    def _row(self, entry: ModelEntry, model: type[Model]) -> int:
        kinds = [kind_of(field) for field in tables.stored_fields(model)]
        fixed = [kind for kind in kinds if kind in SPELLED]
        values = entry.raw_bytes / max(1, entry.rows) - _frame(entry)
        rest = max(0.0, values - sum(SPELLED[kind] for kind in fixed))
        return self.row + sum(self.widths[kind] for kind in fixed) + int(rest)

    def _key(self, model: type[Model], fields: tuple[AnyField, ...]) -> int:
        named = tables.key_fields(model) if self.clusters else ()
        return sum(self.widths.get(kind_of(each), INDEXED_TEXT) for each in {*fields, *named})

    def _indexes(self, model: type[Model]) -> Iterator[tuple[AnyField, ...]]:
        key = tables.key_fields(model)
        is_number = len(key) == 1 and isinstance(root_of(key[0]), AutoField | IntegerField)
        if not self.clusters and not (self.is_row_number and is_number):
            yield key
        for fields in _indexed(model):
            yield fields
            if self.patterns and len(fields) == 1 and kind_of(fields[0]) is Kind.TEXT:
                yield fields


def _frame(entry: ModelEntry) -> int:
    """Bytes of a line that are no value."""
    names = sum(len(name.encode()) + len('"":,') for name in entry.fields)
    return len('{"model":"","pk":,"fields":{}}\n') + len(entry.model.encode()) + names


def _looked_up(model: type[Model]) -> list[tuple[AnyField, ...]]:
    return list({tables.key_fields(model), *((each,) for each in tables.referenced_fields(model))})


def _indexed(model: type[Model]) -> Iterator[tuple[AnyField, ...]]:
    """What Django makes indexes of, the primary key apart."""
    options, fields = model._meta, {field.name: field for field in tables.stored_fields(model)}
    for field in fields.values():
        if (getattr(field, "db_index", False) or field.unique) and not field.primary_key:
            yield (field,)
    named = [*options.unique_together, *(index.fields for index in options.indexes)]
    named += [getattr(each, "fields", ()) for each in options.constraints]
    for names in named:
        if found := tuple(fields[name.lstrip("-")] for name in names if name.lstrip("-") in fields):
            yield found
