"""A member of an archive as rows for the staging, and what was found wrong on the way.

Most rows are as regular as Diskette writes them: then JSON's values go to the driver with
no detour through Python's (`_Direct`). Any other row is decoded and prepared field by
field, as Django would, and each value that fails is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import Any

import zstandard
from django.core.exceptions import ValidationError
from django.db.models import Model

from diskette.core.exceptions import ForeignArchive
from diskette.core.report import JSON, Finding
from diskette.data import findings, natural, tables
from diskette.data.codec import MISSING, DecodedRow, codec
from diskette.data.engines.staging import (
    EngineStaging,
    Refusal,
    Row,
    layout,
    natural_column,
)
from diskette.data.findings import SAMPLE, Sample
from diskette.data.kinds import AnyField, Column

Tick = Callable[[int], None]

TICK_ROWS = 1000
TICK_BYTES = 1_000_000
BUFFER_BYTES = 1 << 18
SHOWN_CHARACTERS = 60
REMEMBERED_SHAPES = 4096
REMEMBERED_KEYS = 50_000
WRITE_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError, ValidationError)

Fields = dict[str, JSON]
"""A line's values by field name, the primary key's among them."""


@dataclass(slots=True)
class _Tally:
    """A problem as it is met row by row."""

    why: str = ""
    count: int = 0
    keys: list[JSON] = field(default_factory=list)
    objects: list[JSON] = field(default_factory=list)

    def add(self, key: JSON, row: JSON) -> None:
        self.count += 1
        if len(self.objects) < SAMPLE:
            self.objects.append(row)
        if len(self.keys) < SAMPLE and key is not None and key not in self.keys:
            self.keys.append(key)

    def sample(self) -> Sample:
        return Sample(count=self.count, keys=tuple(self.keys), objects=tuple(self.objects))


class Intake:
    """Reads one member. `rows` may be called again, and then begins afresh."""

    def __init__(self, engine: EngineStaging, model: type[Model], path: Path, tick: Tick) -> None:
        self.engine, self.model, self.path, self.tick = engine, model, path, tick
        self.codec = codec(model, using=engine.database)
        self.fields = tables.stored_fields(model)
        self.columns = [tables.column_name(each) for each in self.fields]
        self.keys = [self.fields.index(each) for each in tables.key_fields(model)]
        self.naturals = _Naturals(engine, model)
        self.direct = _Direct(engine, self.codec.columns, self.naturals)
        self.defaults = [self._default(each) for each in self.fields]
        self.writers = [
            (index, write)
            for index, each in enumerate(self.codec.columns)
            if (write := engine.writer(each.field, each.kind)) is not None
        ]
        self.passes = 0
        self._forget()

    def _forget(self) -> None:
        self.digest = 0
        """The sum of the digests of the rows read so far."""
        self.refused: dict[str, _Tally] = {}
        self.unknown: dict[str, _Tally] = {}

    def rows(self) -> Iterator[Row]:
        """Every row of the member, as `layout` has it. Raises ForeignArchive for a bad line."""
        self._forget()
        self.passes += 1
        pending_rows = pending_bytes = 0
        for number, line in enumerate(lines_of(self.path), 1):
            try:
                row = self._row(line, number)
            except ValueError as error:
                why = f"line {number} is no row of {self.model._meta.label} ({error}): damaged."
                raise ForeignArchive(self.path.name, why) from error
            yield row
            pending_rows += 1
            pending_bytes += len(line)
            if pending_rows >= TICK_ROWS or pending_bytes >= TICK_BYTES:
                self._tick(pending_rows)
                pending_rows = pending_bytes = 0
        self._tick(pending_rows)

    def _tick(self, rows: int) -> None:
        """Rows read a second time are not counted twice."""
        self.tick(rows if self.passes == 1 else 0)

    def _row(self, line: bytes, number: int) -> Row:
        fields, nulls, digest = self.codec.read(line)
        self.digest += digest
        if not nulls and (row := self.direct.row(fields, number)) is not None:
            return row
        return self._prepared(self.codec.decoded(fields, nulls, digest), number)

    def _prepared(self, decoded: DecodedRow, number: int) -> Row:
        values, refused = decoded.values, []
        added: Row = [None] * len(self.naturals.columns)
        for column, key in decoded.natural.items():
            if not self.naturals.put(self.columns.index(column), key, values, added):
                decoded.invalid[column] = "its model here has no natural key"
        for name in decoded.unknown:
            self.unknown.setdefault(name, _Tally()).add(None, self._object(values, number))
        for column, why in decoded.invalid.items():
            refused.append(self._refuse(values, self.columns.index(column), why, number))
        for index, write in self.writers:
            value = values[index]
            if value is not None and value is not MISSING:
                try:
                    values[index] = write(value)
                except WRITE_ERRORS as error:
                    refused.append(self._refuse(values, index, str(error), number))
        keyless = self._complete(values) if MISSING in values else None
        return [*values, *added, keyless, number, ",".join(refused) or None]

    def _complete(self, values: Row) -> int | None:
        """Fill what the line lacks as Django would; 1 where that is the row's own key."""
        keyless = None
        for index, value in enumerate(values):
            if value is MISSING:
                values[index] = self.defaults[index]()
                if index in self.keys:
                    keyless = 1
        return keyless

    def _default(self, field: AnyField) -> Callable[[], Any]:
        """The field's own default, or the database's, asked now; ready for the driver.

        While rows are written nothing can be asked: the connection is busy.
        """
        connection = self.engine.connection
        if field.has_default() or not field.has_db_default():
            return lambda: field.get_db_prep_save(field.get_default(), connection)
        sql, parameters = connection.schema_editor().db_default_sql(field)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {sql}", parameters or None)
            (value,) = cursor.fetchone()
        return lambda: value

    def _refuse(self, values: Row, index: int, why: str, number: int) -> str:
        column, value = self.columns[index], values[index]
        values[index] = None
        tally = self.refused.setdefault(column, _Tally(why=why))
        tally.add(_shown(value), self._object(values, number))
        return column

    def refuse(self, refusal: Refusal) -> None:
        """What the engine itself refused."""
        number = refusal.row[-2]
        tally = self.refused.setdefault(refusal.column, _Tally(why=refusal.why))
        tally.add(_shown(refusal.value), self._object(refusal.row, number))

    def _object(self, values: Row, number: int) -> JSON:
        """The row's primary key, or its line where it came without."""
        key = [tables.plain(values[index]) for index in self.keys]
        if None in key or MISSING in key:
            return f"line {number}"
        return tables.shown_key(key)

    def problems(self, *, ignore_unknown: bool) -> Iterator[Finding]:
        names = {tables.column_name(each): each.name for each in self.fields}
        for name, tally in self.unknown.items():
            yield findings.unknown_field(self.model, name, tally.sample(), ignored=ignore_unknown)
        for column, tally in self.refused.items():
            yield findings.value_out_of_range(
                self.model,
                names[column],
                tally.sample(),
                engine=self.engine.connection.display_name,
                why=tally.why.rstrip("."),
            )


class _Naturals:
    """The natural keys of a row's references: kept, or replaced where the answer is known."""

    def __init__(self, engine: EngineStaging, model: type[Model]) -> None:
        fields, places = tables.stored_fields(model), layout(model)
        references = tables.natural_references(model)
        referred = {each: tables.concrete(each.remote_field.model) for each in references}
        answers = {
            target: natural.live_keys(target, engine.database)
            for target in set(referred.values())
            if target._meta.label in natural.NEVER_LOADED
        }
        self.columns: dict[int, tuple[int, Mapping[Any, Any]]] = {
            fields.index(each): (
                places.index(natural_column(model, each)) - len(fields),
                answers.get(referred[each], {}),
            )
            for each in references
        }
        self._spelled: dict[Any, str] = {}

    def put(self, index: int, key: Sequence[JSON], values: Row, added: Row) -> bool:
        """Take a key in place of the value at `index`. False where none is expected."""
        if index not in self.columns:
            return False
        place, known = self.columns[index]
        values[index] = known.get(whole := tuple(key))
        if values[index] is None:
            added[place] = self._spelled.get(whole) or self._spell(whole)
        return True

    def _spell(self, key: tuple[JSON, ...]) -> str:
        if len(self._spelled) >= REMEMBERED_KEYS:
            self._spelled.clear()
        return self._spelled.setdefault(key, natural.spelled(key))


class _Direct:
    """Rows whose values have the JSON types that their columns write."""

    def __init__(
        self, engine: EngineStaging, columns: Sequence[Column], naturals: _Naturals
    ) -> None:
        self.width, self.naturals = len(columns), naturals
        self.shortcuts = [engine.shortcut(each) for each in columns]
        self.writes = [
            (index, each.write)
            for index, each in enumerate(self.shortcuts)
            if each.write is not None
        ]
        names = [each.name for each in columns]
        self._values: Callable[[Fields], tuple[JSON, ...]] = (
            itemgetter(*names) if len(names) > 1 else lambda fields: (fields[names[0]],)
        )
        self._shapes: set[tuple[type, ...]] = set()

    def row(self, fields: Fields, number: int) -> Row | None:
        """The row as `layout` has it; None: it must be looked at more closely."""
        if len(fields) != self.width:
            return None
        try:
            values = list(self._values(fields))
            shape = tuple(map(type, values))
            if shape not in self._shapes and not self._is_plain(shape):
                return None
            added = self._put_naturals(values) if self.naturals.columns else []
            for index, write in self.writes:
                if (value := values[index]) is not None:
                    values[index] = write(value)
        except WRITE_ERRORS:
            return None
        values += (*added, None, number, None)
        return values

    def _put_naturals(self, values: Row) -> Row:
        added: Row = [None] * len(self.naturals.columns)
        for index in self.naturals.columns:
            if type(values[index]) is list:
                self.naturals.put(index, values[index], values, added)
        return added

    def _is_plain(self, shape: Sequence[type]) -> bool:
        plain = all(
            kind is NoneType
            or kind in each.types
            or (kind is list and index in self.naturals.columns)
            for index, (kind, each) in enumerate(zip(shape, self.shortcuts, strict=True))
        )
        if plain and len(self._shapes) < REMEMBERED_SHAPES:
            self._shapes.add(tuple(shape))
        return plain


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a member, without their ends."""
    decompressor = zstandard.ZstdDecompressor()
    with path.open("rb") as file, decompressor.stream_reader(file, read_across_frames=True) as raw:
        for line in BufferedReader(raw, BUFFER_BYTES):
            if stripped := line.rstrip(b"\r\n"):
                yield stripped


def _shown(value: Any) -> JSON:
    """A value short enough for a report."""
    shown = tables.plain(value)
    is_long = isinstance(shown, str) and len(shown) > SHOWN_CHARACTERS
    return f"{shown[:SHOWN_CHARACTERS]}…" if is_long else shown
