"""Reading PostgreSQL: the server spells the pieces, COPY streams them.

Columns of known kinds and types arrive as JSON text; others as the text that psycopg's
loaders know, wrapped in a JSON string, and go through Django's converters. COPY sends row by
row, so memory is flat however large rows are, and server and client work side by side.
Everything happens in a transaction with `SET LOCAL` only: a pooler may stand between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.db import connections, transaction
from django.db.models import Model
from psycopg import Copy, DataError, abc
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many
from psycopg.postgres import types
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from diskette import conf
from diskette.data import spelling
from diskette.data.engines.reading import (
    PAGE_BYTES,
    PAGE_ROWS,
    Condition,
    Estimate,
    Page,
    Reading,
    alone,
    gathered,
    own_speller,
)
from diskette.data.kinds import Column, Kind
from diskette.data.spelling import Spell

EXACT = (
    "SELECT set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true),"
    " set_config('intervalstyle', 'postgres', true), set_config('datestyle', 'ISO', true)"
)
"""What a role's own settings may have changed; for this transaction."""
JSON_NULL = "-"
STATISTICS = """
    SELECT label, reltuples, pg_table_size(oid)
    FROM unnest(%s::text[], %s::text[]) AS wanted(label, name)
    JOIN pg_class ON oid = to_regclass(name)
"""

_CALENDAR_DURATION = (
    "(EXTRACT(DAY FROM {0}) + 30 * EXTRACT(MONTH FROM {0}) + 365 * EXTRACT(YEAR FROM {0}))"
    " * 86400000000 + EXTRACT(HOUR FROM {0}) * 3600000000 + EXTRACT(MINUTE FROM {0}) * 60000000"
    " + EXTRACT(MICROSECONDS FROM {0})"
)
"""Months and years, which Django never writes, count as psycopg counts them."""
_DURATION = (
    "CASE WHEN NOT isfinite({0}) THEN to_json({0})::text"
    " WHEN date_part('month', {0}) = 0 AND date_part('year', {0}) = 0"
    " THEN trunc(EXTRACT(EPOCH FROM {0}) * 1000000)::text"
    f" ELSE trunc({_CALENDAR_DURATION})::text END"
)
"""In microseconds, as a number; an infinite one is none, and stays what it is."""

_BASE64 = "'\"' || replace(encode({0}, 'base64'), E'\\n', '') || '\"'"
_EMBEDDED = (
    f"CASE jsonb_typeof({{0}}::jsonb) WHEN 'null' THEN '{JSON_NULL}' ELSE {{0}}::jsonb::text END"
)

EXPRESSIONS: Mapping[Kind, tuple[frozenset[str], str]] = {
    Kind.INTEGER: (frozenset({"int2", "int4", "int8"}), "{0}"),
    Kind.FLOAT: (frozenset({"float8"}), "{0}"),
    Kind.DECIMAL: (frozenset({"numeric"}), "to_json(trim_scale({0})::text)"),
    Kind.BOOLEAN: (frozenset({"bool"}), "to_json({0})"),
    Kind.TEXT: (frozenset({"text", "varchar", "bpchar"}), "to_json({0})"),
    Kind.BINARY: (frozenset({"bytea"}), _BASE64),
    Kind.DATE: (frozenset({"date"}), "to_json({0})"),
    Kind.TIME: (frozenset({"time"}), "to_json({0})"),
    Kind.INSTANT: (frozenset({"timestamptz"}), "to_json({0})"),
    Kind.DURATION: (frozenset({"interval"}), _DURATION),
    Kind.UUID: (frozenset({"uuid"}), "to_json({0})"),
    Kind.ADDRESS: (frozenset({"inet"}), "to_json({0})"),
    Kind.JSON: (
        frozenset({"json", "jsonb"}),
        _EMBEDDED,
    ),
}
"""By kind: the column types that are known, and the SQL that makes the piece."""


class PostgreSQLReading(Reading):
    null = spelling.NULL

    def expression(self, column: Column) -> str:
        quoted = self.quoted(column.column)
        if self._is_known(column):
            in_utc = f"{quoted} AT TIME ZONE 'UTC'"
            foreign = column.kind is Kind.INSTANT and not self._shows_utc
            return EXPRESSIONS[column.kind][1].format(in_utc if foreign else quoted)
        selected = self.as_django_reads(column)
        return f"to_json(CASE WHEN {quoted} IS NOT NULL THEN concat({selected}) END)"

    def spellers(self) -> Sequence[Spell | None]:
        with self.connection.cursor() as cursor:
            transformer = Transformer(cursor.cursor)
        return [self._speller(column, transformer) for column in self.columns]

    def _speller(self, column: Column, transformer: abc.Transformer) -> Spell | None:
        if self._is_known(column):
            is_instant = column.kind is Kind.INSTANT
            return self._instant_speller() if is_instant else _SPELLERS.get(column.kind)
        load = self._loader(column, transformer)
        own = own_speller(column, self.connection)
        return lambda piece: own(load(json.loads(piece).encode()))

    def _instant_speller(self) -> Spell | None:
        if conf.use_tz():
            return None if self._shows_utc else _utc
        return _local

    @cached_property
    def _shows_utc(self) -> bool:
        """Whether instants arrive with the offset that lines give them, as they mostly do."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('TimeZone')")
            return cursor.fetchone()[0] in ("UTC", "Etc/UTC")

    def _loader(self, column: Column, transformer: abc.Transformer) -> Callable[[bytes], Any]:
        return transformer.get_loader(self._types[column.column], Format.TEXT).load

    def found(self, column: Column, value: Any) -> Any:
        text = json.loads(value)
        if self._is_known(column):
            return text
        with self.connection.cursor() as cursor:
            load = self._loader(column, Transformer(cursor.cursor))
        try:
            return load(text.encode())
        except (DataError, ValueError):
            return text

    def pages(self, condition: Condition, *, asks: bool) -> Iterator[Page]:
        statement = self.select(condition, "({})::text" if asks else "{}")
        with transaction.atomic(using=self.using):
            with self.connection.cursor() as cursor:
                cursor.execute(EXACT)
            stream = self._fetched if asks else self._copied
            yield from stream(statement, condition.parameters or None)

    def _copied(self, statement: str, parameters: Any) -> Iterator[Page]:
        copy = f"COPY ({statement}) TO STDOUT (NULL '{self.null}')"
        with (
            self.connection.cursor() as cursor,
            # psycopg's own: Django's, in debug mode, takes no parameters.
            cursor.cursor.copy(copy, parameters) as copying,
            alone(self.connection),
        ):
            yield from map(_rows, gathered(_arriving(copying), len))

    def _fetched(self, statement: str, parameters: Any) -> Iterator[Page]:
        with self.connection.chunked_cursor() as cursor:
            cursor.execute(statement, parameters)
            size = 1
            while fetched := cursor.fetchmany(size):
                page = [[self.null if piece is None else piece for piece in row] for row in fetched]
                yield page
                width = sum(len(piece) for row in page for piece in row) // len(page)
                size = max(1, min(2 * size, PAGE_ROWS, PAGE_BYTES // (width + 1)))

    @classmethod
    def estimate(cls, models: Sequence[type[Model]], using: str) -> dict[str, Estimate]:
        """As the planner sees it; rows of a table never analysed are counted."""
        connection = connections[using]
        names = {
            model._meta.label: connection.ops.quote_name(model._meta.db_table) for model in models
        }
        with connection.cursor() as cursor:
            cursor.execute(STATISTICS, [list(names), list(names.values())])
            found = cursor.fetchall()
        known = {label: (int(rows), size) for label, rows, size in found}
        return {
            model._meta.label: Estimate(
                rows=rows if rows > 0 or not size else cls(model, (), using).count(), bytes=size
            )
            for model in models
            if model._meta.label in known
            for rows, size in [known[model._meta.label]]
        }

    def _is_known(self, column: Column) -> bool:
        names, _ = EXPRESSIONS.get(column.kind, (frozenset(), ""))
        found = types.get(self._types[column.column])
        return found is not None and found.name in names

    @cached_property
    def _types(self) -> Mapping[str, int]:
        """The type of each column, as the server says."""
        natives = ", ".join(self.as_django_reads(column) for column in self.columns)
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {natives} FROM {self.table} LIMIT 0")
            oids = [each.type_code for each in cursor.description]
        return {column.column: oid for column, oid in zip(self.columns, oids, strict=True)}


def _arriving(copying: Copy) -> Iterator[bytes]:
    """COPY's rows. What has arrived is taken at once: the driver's own way waits for each row.

    As bytes: thousands of the driver's views would keep the garbage collector walking.
    """
    connection = copying.connection
    while True:
        size, arrived = connection.pgconn.get_copy_data(1)
        if size < 0:
            _require_success(connection.wait(fetch_many(connection.pgconn)))
        row = bytes(copying.read() if size == 0 else arrived)
        if not row:
            return
        yield row


def _require_success(results: Sequence[PGresult]) -> None:
    """Raise what kept the server from sending every row."""
    for result in results:
        if result.status != ExecStatus.COMMAND_OK:
            raise error_from_result(result)


def _rows(copied: Sequence[bytes]) -> Page:
    """COPY's text of some rows, taken apart."""
    text = b"".join(copied).decode()
    if "\\" in text:  # pieces are JSON: no other letter was escaped
        text = text.replace("\\\\", "\\")
    return [line.split("\t") for line in text[:-1].split("\n")]


def _utc(piece: str) -> str:
    """PostgreSQL's text of an instant in UTC, the offset added where it is not there."""
    if "+" in piece:
        return piece
    if piece[-2].isdigit():
        return f'{piece[:-1]}+00:00"'
    return f'{piece[:-4]}+00:00 BC"' if piece.endswith(' BC"') else piece


def _local(piece: str) -> str:
    try:
        at = datetime.fromisoformat(piece[1:-1])
    except ValueError:  # what Python's instants cannot hold
        return _utc(piece)
    return spelling.naive_instant(at if at.tzinfo else at.replace(tzinfo=UTC))


def _duration(piece: str) -> str:
    return spelling.microseconds(int(piece))


def _json(piece: str) -> str:
    return spelling.NULL if piece == JSON_NULL else piece


def _floating(piece: str) -> str:
    return spelling.floating(float(piece))


_SPELLERS: Mapping[Kind, Spell] = {
    Kind.DURATION: _duration,
    Kind.FLOAT: _floating,
    Kind.JSON: _json,
}
