"""Foreign keys by natural key, on their way out: the database's key to the list in the line.

Keys are looked up for many rows at once, and remembered up to a bound: memory stays flat
however many rows the referenced table has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson
from django.db.models import ForeignKey, Model, QuerySet

from diskette.data import spelling, tables, values
from diskette.data.kinds import Column

ALWAYS = frozenset({"contenttypes.ContentType", "auth.Permission"})
"""Never dumped as rows, so never referred to by a number that means another row elsewhere."""
REMEMBERED = 50_000
"""Natural keys kept in memory per reference."""


class NaturalReference:
    """The natural keys of one foreign key's targets."""

    def __init__(self, column: Column, using: str) -> None:
        assert isinstance(column.field, ForeignKey)  # noqa: S101 - tells the type checker
        self.column, self.using = column, using
        self.target: type[Model] = column.field.remote_field.model
        self._to_field = column.field.target_field.name
        self._decode = values.decoder(column.field, column.kind)
        self._pieces: dict[str, str] = {}
        self._is_complete = False

    @property
    def is_small(self) -> bool:
        """All keys can be learnt beforehand, so none has to be asked for between rows."""
        return self.target._meta.label in ALWAYS

    def learn_all(self) -> None:
        """By one query, not by a server's cursor: a pooler may change connections in between."""
        for row in self._rows():
            value = getattr(row, self._to_field)
            self._pieces[spelling.anything(value)] = spelling.anything(list(row.natural_key()))
        self._is_complete = True

    def learn(self, pieces: Iterable[str]) -> None:
        """Look up the natural keys of what these pieces refer to, at once."""
        if self._is_complete:
            return
        wanted = set(pieces) - self._pieces.keys() - {spelling.NULL}
        if not wanted:
            return
        if len(self._pieces) > REMEMBERED:
            self._pieces.clear()
        by_value = dict(self._values(wanted))
        found: Mapping[Any, Any] = self._rows().in_bulk(list(by_value), field_name=self._to_field)
        for value in by_value.keys() & found.keys():
            key = list(found[value].natural_key())
            self._pieces[by_value[value]] = spelling.anything(key)

    def piece(self, piece: str) -> str:
        """The natural key's piece; where the row is missing, the value itself."""
        return self._pieces.get(piece, piece)

    def _values(self, pieces: Iterable[str]) -> Iterator[tuple[Any, str]]:
        for piece in pieces:
            with suppress(ValueError):  # no value of the field's: nothing can be found by it
                yield self._decode(orjson.loads(piece)), piece

    def _rows(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = QuerySet(self.target, using=self.using)
        followed = [each.name for each in tables.references(self.target) if _is_natural(each)]
        return rows.select_related(*followed) if followed else rows


def natural_references(
    columns: Iterable[Column], using: str, *, everywhere: bool, by_value: Collection[str] = ()
) -> dict[str, NaturalReference]:
    """By column name: the foreign keys that stand in lines by natural key.

    `everywhere`: all that can but those of `by_value`.
    """
    return {
        column.name: NaturalReference(column, using)
        for column in columns
        if isinstance(column.field, ForeignKey)
        and _is_natural(column.field)
        and (
            (everywhere and column.name not in by_value)
            or column.field.remote_field.model._meta.label in ALWAYS
        )
    }


def _is_natural(reference: Any) -> bool:
    return tables.has_natural_key(reference.remote_field.model)
