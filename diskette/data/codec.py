"""Rows to lines and back: one column, one function each way.

A line is what Django's own `loaddata` reads: `{"model","pk","fields"}`, with the fields of
the row's own table only (a parent's have their own line), each value spelled in one way
whatever the engine, so that equal rows make equal lines:

- instants in UTC (`2026-01-31T12:00:00.5+00:00`; local and bare where USE_TZ is off), times
  and instants without trailing zeros, durations as Django spells them;
- decimals and the floats JSON lacks as strings, bytes in base64;
- JSON fields embedded as the text they are; JSON's null is told from SQL's by the
  line's extra `"json_null": [names]`, which Django passes over;
- foreign keys by the value in the column; content types and permissions always by natural
  key, others where the definition asks for it;
- fields of other kinds through their own `from_db_value`, `value_to_string`, `to_python`.

The row digest is taken of the canonical line: the line, with JSON and IP addresses
re-spelled so that what engines are free to choose does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import orjson
from django.db.models import Model

from diskette.core.report import JSON
from diskette.data import lines, tables, values
from diskette.data.engines.reading import Row
from diskette.data.kinds import Column, Kind, kind_of
from diskette.data.lines import JSON_NULL, JSONText, Spans, Tree
from diskette.data.writer import LineWriter


class Missing(Enum):
    """The one value of a field that the line does not have."""

    MISSING = "missing"


MISSING = Missing.MISSING


class DecodedRow(NamedTuple):
    """One line, ready for the columns of its table.

    `values` stand in the order of `ModelCodec.columns`, each ready for its field's
    `get_db_prep_save`, with these exceptions:

    - `JSONText` for a JSON field: exact, to be written to the column as the text it is;
    - `Verbatim` where Python's type cannot hold what PostgreSQL can (`infinity`,
      `24:00:00`, years before 1): to be written as it is there, refused elsewhere;
    - None for a reference given by natural key, which stands in `natural`;
    - MISSING where the line does not have the field;
    - the JSON value as it was, for a column named in `invalid`.
    """

    values: list[Any]
    natural: dict[str, tuple[JSON, ...]]
    """Column to the natural key of the row it refers to."""
    unknown: dict[str, JSON]
    """What the line has and the table has not: vanished fields, many-to-many lists."""
    invalid: dict[str, str]
    """Column to why its value cannot be one of its field's."""
    digest: int
    """The row's share of the table's digest; see `lines.digest_hex`."""


class ModelCodec:
    """The columns of one model's own table, and its rows as lines.

    Columns are the table's own: no inherited field, no generated column.
    """

    def __init__(
        self,
        model: type[Model],
        *,
        using: str,
        natural_foreign: bool,
        natural_primary: bool,
        by_value: Collection[str] = (),
    ) -> None:
        self.model, self.using, self.by_value = model, using, by_value
        self.natural_foreign, self.natural_primary = natural_foreign, natural_primary
        self.columns = tuple(
            Column(field=field, kind=kind_of(field)) for field in tables.stored_fields(model)
        )
        kinds = {column.name: column.kind for column in self.columns}
        self._json = frozenset(name for name, kind in kinds.items() if kind is Kind.JSON)
        self._exact = self._json | {name for name, kind in kinds.items() if kind is Kind.CUSTOM}
        self._loose = {n: lines.CANONICAL[k] for n, k in kinds.items() if k in lines.CANONICAL}
        self._apart = [name for name in kinds if name in self._exact or name in self._loose]

    @cached_property
    def writer(self) -> LineWriter:
        """Reads the model's table and makes lines of its rows; asks the database."""
        return LineWriter(
            self.model,
            self.columns,
            using=self.using,
            natural_foreign=self.natural_foreign,
            natural_primary=self.natural_primary,
            by_value=self.by_value,
        )

    def encode(self, row: Row) -> bytes:
        """One of the writer's rows as a line, without its newline."""
        return self.writer.spell([row]).lines[0]

    def decode(self, line: bytes) -> DecodedRow:
        """A line as the values of its table's columns. Raises ValueError where it is no row."""
        return self.decoded(*self.read(line))

    def read(self, line: bytes) -> tuple[dict[str, JSON], Sequence[str], int]:
        """The line's values by field name as they stand, which are JSON's null, its digest."""
        text, tree, spans = self._read(line)
        return self._fields(tree), tree.get(JSON_NULL, ()), self._digest(line, text, spans)

    def decoded(self, fields: dict[str, JSON], nulls: Sequence[str], digest: int) -> DecodedRow:
        """What was read, as the values of the table's columns. Takes `fields` to pieces."""
        row = DecodedRow([], {}, {}, {}, digest)
        for column, decode in self._decoders:
            value = fields.pop(column.name, MISSING)
            if value is None:
                value = JSONText("null") if column.name in nulls else None
            elif column.is_reference and type(value) is list:
                row.natural[column.column] = tuple(value)
                value = None
            elif value is not MISSING and type(value) is not JSONText:
                try:
                    value = decode(value)
                except ValueError as error:
                    row.invalid[column.column] = str(error)
            row.values.append(value)
        row.unknown.update(fields)
        return row

    def digest(self, line: bytes) -> int:
        """The row's share of the table's digest, whatever engine it was read from."""
        text, _, spans = self._read(line)
        return self._digest(line, text, spans)

    @cached_property
    def _decoders(self) -> list[tuple[Column, values.Decode]]:
        return [(each, values.decoder(each.field, each.kind)) for each in self.columns]

    def _read(self, line: bytes) -> tuple[str, Tree, Spans]:
        """The line's text and spans, where they are needed, and its tree.

        JSON fields are taken as text; those that may hold any number, by the exact reading.
        """
        if not self._apart:
            return "", orjson.loads(line), {}
        text = line.decode("utf-8", "surrogatepass")
        try:
            tree, spans = lines.parted(text, self._apart)
        except ValueError:
            tree, spans = lines.dissect(text)
        fields = self._fields(tree)
        for name, (start, end) in spans.items():
            fields[name] = self._value(name, text[start:end])
        return text, tree, spans

    def _value(self, name: str, text: str) -> JSON:
        if name in self._json and text != "null":
            return JSONText(text)
        return json.loads(text) if name in self._exact else orjson.loads(text)

    def _fields(self, tree: JSON) -> dict[str, JSON]:
        """What stands in the line by field name, the primary key among it."""
        fields = tree.get("fields") if isinstance(tree, dict) else None
        if not isinstance(fields, dict):
            raise ValueError("a line without fields")  # noqa: TRY004 - as any other bad line
        if tree.get("pk") is not None and not self._has_composite_key:
            fields[self.model._meta.pk.name] = tree["pk"]
        return fields

    @cached_property
    def _has_composite_key(self) -> bool:
        return len(tables.key_fields(self.model)) > 1

    def _digest(self, line: bytes, text: str, spans: Spans) -> int:
        if spans and self._loose:
            line = lines.respelled(text, spans, self._loose).encode("utf-8", "surrogatepass")
        return lines.row_digest(line)


def codec(
    model: type[Model],
    *,
    using: str,
    natural_foreign: bool = False,
    natural_primary: bool = False,
    by_value: Collection[str] = (),
) -> ModelCodec:
    """How a model's rows become lines in a database, and lines rows again.

    `natural_foreign`: references stand in lines by natural key, but for those of `by_value`;
    `natural_primary`: rows stand there without their primary key.
    """
    return ModelCodec(
        model,
        using=using,
        natural_foreign=natural_foreign,
        natural_primary=natural_primary,
        by_value=by_value,
    )
