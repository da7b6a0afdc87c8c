"""Reading MariaDB and MySQL: streamed by the server, or by pages of keys.

An unbuffered cursor keeps memory flat but leaves no room for another query on its
connection; where other queries are asked in between, rows are read a page at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from django.db import connections
from django.db.models import Model

from diskette.data import spelling, tables
from diskette.data.engines.plain_reading import PlainReading
from diskette.data.engines.reading import (
    PAGE_BYTES,
    PAGE_ROWS,
    Condition,
    Estimate,
    Page,
    Row,
    alone,
)
from diskette.data.kinds import Column, Kind
from diskette.data.spelling import Spell

STATISTICS = """
    SELECT table_name, coalesce(table_rows, 0), coalesce(data_length, 0)
    FROM information_schema.tables WHERE table_schema = database()
"""
MOST_COUNTED = 1_000_000
_CALENDAR = (Kind.DATE, Kind.TIME, Kind.INSTANT)


class MySQLReading(PlainReading):
    def expression(self, column: Column) -> str:
        if column.kind is Kind.CUSTOM:
            return self.as_django_reads(column)
        quoted = self.quoted(column.column)
        return f"CAST({quoted} AS CHAR)" if column.kind in _CALENDAR else quoted

    def decimal_speller(self, column: Column) -> Spell:  # noqa: ARG002 - the server keeps the scale
        return spelling.decimal

    def pages(self, condition: Condition, *, asks: bool) -> Iterator[Page]:
        return self._asked(condition) if asks else self._streamed(condition)

    def _streamed(self, condition: Condition) -> Iterator[Page]:
        self.connection.ensure_connection()
        streaming = self.connection.Database.cursors.SSCursor  # type: ignore[attr-defined]
        with (
            self.connection.wrap_database_errors,
            self.connection.connection.cursor(streaming) as cursor,
            alone(self.connection),
        ):
            cursor.execute(self.select(condition), condition.parameters or None)
            yield from self.gathered(iter(cursor.fetchone, None))

    def _asked(self, condition: Condition) -> Iterator[Page]:
        following, size = condition, 1
        width = len(tables.key_fields(self.model))
        while True:
            with self.connection.cursor() as cursor:
                cursor.execute(self._page(following, size), following.parameters or None)
                rows = cursor.fetchall()
            if rows:
                yield from self.gathered(iter([row[:-width] for row in rows]))
            if len(rows) < size:
                return
            following, size = self._after(condition, rows[-1][-width:]), _grown(size, rows)

    def _page(self, condition: Condition, rows: int) -> str:
        statement = self.select(condition)
        start, _, rest = statement.partition(f" FROM {self.table}")
        return f"{start}, {self.keys} FROM {self.table}{rest} LIMIT {rows}"

    def _after(self, condition: Condition, key: Sequence[Any]) -> Condition:
        joint = f"{condition.sql} AND" if condition.sql else " WHERE"
        places = ", ".join(repeat("%s", len(key)))
        return Condition(f"{joint} ({self.keys}) > ({places})", (*condition.parameters, *key))

    @classmethod
    def estimate(cls, models: Sequence[type[Model]], using: str) -> dict[str, Estimate]:
        """As the server's statistics have it, but for rows."""
        with connections[using].cursor() as cursor:
            cursor.execute(STATISTICS)
            found = {
                name: Estimate(rows=int(rows), bytes=int(size))
                for name, rows, size in cursor.fetchall()
            }
        known = [model for model in models if model._meta.db_table in found]
        return {
            model._meta.label: cls._bettered(model, found[model._meta.db_table], using)
            for model in known
        }

    @classmethod
    def _bettered(cls, model: type[Model], told: Estimate, using: str) -> Estimate:
        """Statistics are off by a half at times: rows are counted where they are not too many."""
        if told.rows > MOST_COUNTED:
            return told
        return replace(told, rows=cls(model, (), using).count())


def _grown(size: int, rows: Sequence[Row]) -> int:
    """How many rows to ask for next: twice as many, as long as they stay small together."""
    taken = sum(len(value) for row in rows for value in row if isinstance(value, str | bytes))
    bearable = PAGE_BYTES * len(rows) // max(taken, 1)
    return max(1, min(2 * size, PAGE_ROWS, bearable))
