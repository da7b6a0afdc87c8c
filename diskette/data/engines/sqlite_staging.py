"""Staging in a file of the run's workspace, attached to the live database when they meet.

The file is written by a connection of its own, so that the live database never waits
for it, and only read while the live one is written: the commit is of one file.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, cast

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import DecimalField, Model

from diskette import conf
from diskette.core.exceptions import InsufficientSpace
from diskette.core.manifest import ModelEntry
from diskette.core.space import free, taken_by_file
from diskette.data import interrupting, tables
from diskette.data.engines.layout import Layout
from diskette.data.engines.plain_writing import (
    clock,
    day,
    hex_of,
    hexadecimal,
    microseconds,
    of_python,
    utc_instant,
)
from diskette.data.engines.staging import (
    CONTENTS,
    KEYLESS,
    LINE,
    REFUSED,
    EngineStaging,
    ReadRows,
    Refusal,
    Refuse,
    Row,
    Shortcut,
    Write,
    batches,
    layout,
    plain_decimal,
    staged_columns,
    within_places,
)
from diskette.data.kinds import AnyField, Column, Kind, root_of
from diskette.data.lines import JSONText

PORTION_ROWS = 20_000
PAGE_SIZE = 16_384
"""Of the staging's file, in bytes: SQLite's own 4096 would split many rows over several pages."""
CACHE_SIZE = -4_000
"""Of a staging that is written: 4 MB, which SQLite wants told as negative KiB.

It sorts an index in as much again: with 16 a load of ten times the rows took 27 MB more.
"""
KEY_ROWS = 1000
VALUE_ERRORS = (
    OverflowError,
    UnicodeError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
FLOAT_DIGITS = 15
KEPT = Context(prec=FLOAT_DIGITS)
SIDE_FILES = ("", "-journal", "-wal", "-shm")

Violation = tuple[Any, ...]
"""Table, rowid, referenced table, number of the foreign key: PRAGMA foreign_key_check."""


def _number(value: float) -> float:
    if math.isnan(value):
        raise ValueError("SQLite has no NaN")
    if not value and repr(value) == "-0.0":
        raise ValueError("SQLite has no negative zero")
    return value


SHORTCUTS = {
    Kind.INTEGER: Shortcut(types=frozenset({int})),
    Kind.FLOAT: Shortcut(types=frozenset({float, int}), write=_number),
    Kind.BOOLEAN: Shortcut(types=frozenset({bool})),
    Kind.TEXT: Shortcut(types=frozenset({str})),
    Kind.ADDRESS: Shortcut(types=frozenset({str})),
    Kind.JSON: Shortcut(types=frozenset({JSONText})),
    Kind.UUID: Shortcut(types=frozenset({str}), write=hex_of),
    Kind.DATE: Shortcut(types=frozenset({str}), write=day),
    Kind.TIME: Shortcut(types=frozenset({str}), write=clock),
    Kind.DURATION: Shortcut(types=frozenset({str}), write=microseconds),
}
"""What a text is must be proven here: SQLite itself would take any."""

LAYOUT = Layout(
    page=4096,
    staged_page=PAGE_SIZE,
    row=14,
    entry=7,
    filled=0.85,
    is_row_number=True,
    widths={
        Kind.INTEGER: 3,
        Kind.FLOAT: 8,
        Kind.DECIMAL: 8,
        Kind.BOOLEAN: 1,
        Kind.DATE: 10,
        Kind.TIME: 15,
        Kind.INSTANT: 26,
        Kind.DURATION: 8,
        Kind.UUID: 32,
        Kind.ADDRESS: 14,
    },
)


class SQLiteStaging(EngineStaging):
    shortcuts = SHORTCUTS
    layout = LAYOUT

    @property
    def path(self) -> Path:
        return self.workspace / f"staging-{self.database}.sqlite3"

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction in the file alone."""
        with interrupting.counted_in(sqlite3.connect(self.path, isolation_level=None)) as file:
            file.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # of a new file: others keep theirs
            file.execute(f"PRAGMA cache_size = {CACHE_SIZE}")
            file.execute("BEGIN IMMEDIATE")
            yield file
            file.execute("COMMIT")

    def create(self, models: Sequence[type[Model]]) -> None:
        with self._writing() as file:
            file.execute(
                f"CREATE TABLE IF NOT EXISTS {CONTENTS}"
                " (position INTEGER PRIMARY KEY, model TEXT UNIQUE, rows INTEGER)"
            )
            made = {model for (model,) in file.execute(f"SELECT model FROM {CONTENTS}")}
            for model in models:
                if model._meta.label not in made:
                    file.execute(self._definition(model))
                    file.execute(f"INSERT INTO {CONTENTS} (model) VALUES (?)", [model._meta.label])

    def _definition(self, model: type[Model]) -> str:
        columns = [self._column(field) for field in tables.stored_fields(model)]
        added = [f"{self.quoted(name)} {_type(name)}" for name in staged_columns(model)]
        return f"CREATE TABLE {self._inner(model)} ({', '.join([*columns, *added])})"

    def _column(self, field: AnyField) -> str:
        """Type and collation as the live column's: both decide what is equal."""
        parameters = field.db_parameters(self.connection)
        collation = parameters.get("collation")
        order = f" COLLATE {self.quoted(collation)}" if collation else ""
        return f"{self.column(field)} {parameters['type']}{order}"

    def _inner(self, model: type[Model]) -> str:
        """The staged table's name within its own file."""
        return self.staged(model).removeprefix(f'"{self.schema}".')

    def writer(self, field: AnyField, kind: Kind) -> Write | None:
        match kind:
            case Kind.INTEGER | Kind.BOOLEAN | Kind.TEXT | Kind.BINARY | Kind.JSON:
                return None
            case Kind.FLOAT:
                return _number
            case Kind.DECIMAL:
                return self._decimal_writer(cast("DecimalField[Any, Any]", root_of(field)))
            case Kind.UUID:
                return hexadecimal
        prepare, connection = field.get_db_prep_save, self.connection
        return lambda value: prepare(of_python(value), connection)

    def _decimal_writer(self, field: DecimalField[Any, Any]) -> Write:
        """Django reads decimals back from SQLite's floats with fifteen digits, no more."""
        exactly, prepare, connection = within_places(field), field.get_db_prep_save, self.connection

        def write(value: Decimal) -> Any:
            if KEPT.create_decimal_from_float(float(exactly(value))) != value:
                raise ValueError(f"SQLite keeps {FLOAT_DIGITS} digits of a number")
            return prepare(value, connection)

        return write

    def shortcut(self, column: Column) -> Shortcut:
        if column.kind is Kind.INSTANT and conf.use_tz() and self.connection.timezone is UTC:
            return Shortcut(types=frozenset({str}), write=utc_instant)
        if column.kind is Kind.DECIMAL:
            return Shortcut(types=frozenset({str}), write=_decimal(column.root))
        return super().shortcut(column)

    def fill(self, model: type[Model], rows: ReadRows, refuse: Refuse) -> int:
        marks = ", ".join("?" * len(layout(model)))
        insert = f"INSERT INTO {self._inner(model)} VALUES ({marks})"
        try:
            with self._filling(model) as file:
                return file.executemany(insert, rows()).rowcount
        except VALUE_ERRORS:
            with self._filling(model) as file:
                accepted = (_accepted(file, model, row, refuse) for row in rows())
                return file.executemany(insert, accepted).rowcount

    @contextmanager
    def _filling(self, model: type[Model]) -> Iterator[sqlite3.Connection]:
        indexes = self._indexes(model)
        with self._writing() as file:
            for name in indexes:
                file.execute(f"DROP INDEX IF EXISTS {name}")
            file.execute(f"DELETE FROM {self._inner(model)}")
            yield file
            for name, columns in indexes.items():
                file.execute(f"CREATE INDEX {name} ON {self._inner(model)} ({columns})")
            counted = f"UPDATE {CONTENTS} SET rows = (SELECT count(*) FROM {self._inner(model)})"
            file.execute(f"{counted} WHERE model = ?", [model._meta.label])
            self.fence()

    def _indexes(self, model: type[Model]) -> dict[str, str]:
        """Of what others look rows up by: the key, and each column that a reference names."""
        names = tables.column_name
        looked_up: set[tuple[str, ...]] = {tuple(map(names, tables.key_fields(model)))}
        looked_up.update((names(field),) for field in tables.referenced_fields(model))
        name = self._inner(model).strip('"')
        return {
            self.quoted(f"{name} {'+'.join(columns)}"): ", ".join(map(self.quoted, columns))
            for columns in sorted(looked_up)
        }

    def make_keys(self, model: type[Model], table: str, pairs: Iterable[tuple[str, Any]]) -> None:
        """By Django's connection: pairs may come from the live tables, or from both."""
        (key,) = tables.key_fields(model)
        self.execute(f"DROP TABLE IF EXISTS {table}")
        self.execute(
            f"CREATE TABLE {table} (natural_key TEXT, value {key.db_type(self.connection)})"
        )
        with self.connection.cursor() as cursor:
            for part in batches(pairs, KEY_ROWS):
                cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", part)
        inner = table.removeprefix(f'"{self.schema}".').strip('"')
        for column in ("natural_key", "value"):
            index = f'"{self.schema}"."{inner} {column}"'
            self.execute(f'CREATE INDEX {index} ON "{inner}" ({column})')

    def end_others(self) -> None:
        """There is no server to ask: what a frozen process holds is found locked."""

    def drop(self) -> None:
        for suffix in SIDE_FILES:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def volume(self) -> Path | None:
        return self._live_path().parent

    def taken(self) -> int:
        """The file, and what is beside it until a commit, or a checkpoint, has come through."""
        live = self._live_path()
        return sum(map(taken_by_file, (live.with_name(live.name + each) for each in SIDE_FILES)))

    def staged_in(self) -> Path | None:
        return self.workspace

    def room_to_apply(self, entries: Mapping[type[Model], ModelEntry]) -> int:
        """Old pages are kept in the journal while new rows take their place.

        In WAL mode pages go to the log first, and those that the file had not to the file then.
        """
        new = super().room_to_apply(entries)
        old = sum(
            self.layout.live(
                replace(entry, rows=rows, raw_bytes=entry.raw_bytes * rows // entry.rows), model
            )
            for model, entry in entries.items()
            if entry.rows and (rows := self._live_rows(model))
        )
        is_logged = self.scalar("PRAGMA main.journal_mode") == "wal"
        return new + max(0, new - old) if is_logged else max(new, old)

    def _live_rows(self, model: type[Model]) -> int:
        """None where the table is missing, which check_compatibility tells."""
        name = _literal(model._meta.db_table)
        if not self.scalar(f"SELECT count(*) FROM main.sqlite_master WHERE name = '{name}'"):
            return 0
        return int(self.scalar(f"SELECT count(*) FROM {self.live(model)}"))

    def _live_path(self) -> Path:
        return Path(self.connection.settings_dict["NAME"]).absolute()

    @contextmanager
    def opened(self, *, writing: bool) -> Iterator[None]:
        self._recover()
        mode = "rw" if writing else "ro"
        self.execute(f"ATTACH '{_literal(self.path.as_uri())}?mode={mode}' AS \"{self.schema}\"")
        try:
            yield
        finally:
            self.execute(f'DETACH "{self.schema}"')

    def _recover(self) -> None:
        """Undo what a killed writer left half done; a reader alone could not."""
        with self._writing() as file:
            file.execute("SELECT count(*) FROM sqlite_master")

    @contextmanager
    def checking(self) -> Iterator[None]:
        """No transaction: one would keep the site from writing."""
        yield

    @contextmanager
    def applying(self, models: Sequence[type[Model]]) -> Iterator[Callable[[], None]]:
        """Begun as a write: a transaction that reads first may be refused its first write.

        Constraints are off and proven afterwards: with them on, deletions would cascade.
        """
        connection = self.connection
        mode, connection.transaction_mode = connection.transaction_mode, "IMMEDIATE"  # type: ignore[attr-defined]
        connection.disable_constraint_checking()
        try:
            with self._live_disk_named(), transaction.atomic(using=self.database):
                before = set(self._violations(models))
                yield lambda: self._prove(models, before)
        finally:
            connection.transaction_mode = mode  # type: ignore[attr-defined]
            connection.enable_constraint_checking()

    @contextmanager
    def _live_disk_named(self) -> Iterator[None]:
        """The staging is only read now: it is the live file, or its journal, that cannot grow."""
        try:
            yield
        except OperationalError as error:
            if not self.full_disk(error):
                raise
            disk = self._live_path().parent
            raise InsufficientSpace(str(disk), 0, free(disk), str(error)) from error

    def _violations(self, models: Sequence[type[Model]]) -> Iterator[Violation]:
        """Broken references of any table, known to Django or not, that has some into these."""
        loaded = {model._meta.db_table for model in models}
        meeting = self.query(
            'SELECT DISTINCT child.name, reference."table" FROM main.sqlite_master AS child'
            " JOIN pragma_foreign_key_list(child.name, 'main') AS reference"
            " WHERE child.type = 'table'"
        )
        for child in sorted({child for child, parent in meeting if {child, parent} & loaded}):
            yield from self.query(f"PRAGMA main.foreign_key_check({self.quoted(child)})")

    def _prove(self, models: Sequence[type[Model]], before: set[Violation]) -> None:
        loaded = {model._meta.db_table for model in models}
        for violation in self._violations(models):
            child, row, parent, _ = violation
            if child in loaded or violation not in before:
                raise IntegrityError(
                    f"FOREIGN KEY constraint failed: {child}.rowid {row} refers to a row of"
                    f" {parent} that is not there"
                )

    def live(self, model: type[Model]) -> str:
        return f"main.{self.quoted(model._meta.db_table)}"

    def portions(self, model: type[Model]) -> Iterator[str]:
        last = self.scalar(f"SELECT coalesce(max(rowid), 0) FROM {self.staged(model)}")
        for first in range(1, last + 1, PORTION_ROWS):
            yield f"rowid BETWEEN {first} AND {first + PORTION_ROWS - 1}"

    def reset_sequences(self, models: Sequence[type[Model]], *, lower: bool) -> None:
        """Inserting raised them already; a table without AUTOINCREMENT needs none."""
        if not lower or not self.query(
            "SELECT 1 FROM main.sqlite_master WHERE name = 'sqlite_sequence'"
        ):
            return
        for model in models:
            highest = f"SELECT coalesce(max(rowid), 0) FROM {self.live(model)}"
            name = _literal(model._meta.db_table)
            self.execute(f"UPDATE main.sqlite_sequence SET seq = ({highest}) WHERE name = '{name}'")

    def is_passing(self, error: BaseException) -> bool:
        return "locked" in str(error) or "busy" in str(error)

    def full_disk(self, error: BaseException) -> str:
        code = getattr(error.__cause__ or error, "sqlite_errorcode", None)
        return str(self.workspace) if code == sqlite3.SQLITE_FULL else ""

    def blame(self, error: BaseException) -> str:
        found = re.search(r"failed: (?:index ')?([^.']+)", str(error))
        return found.group(1) if found else ""

    def cascades_into(self, models: Sequence[type[Model]]) -> frozenset[str]:  # noqa: ARG002
        """None: constraints are off while rows are applied."""
        return frozenset()

    def _unshadow(self, tables: Iterable[str]) -> None:
        for table in tables:
            self.execute(f"DROP VIEW temp.{self.quoted(table)}")


def _decimal(field: AnyField) -> Write:
    is_plain = plain_decimal(cast("DecimalField[Any, Any]", field))

    def write(text: str) -> str:
        if len(text) <= FLOAT_DIGITS and is_plain(text):
            return text
        raise ValueError(text)

    return write


def _type(staged_column: str) -> str:
    return "INTEGER" if staged_column in (LINE, KEYLESS) else "TEXT"


def _literal(text: str) -> str:
    return text.replace("'", "''")


def _accepted(file: sqlite3.Connection, model: type[Model], row: Row, refuse: Refuse) -> Row:
    """The row without the values that SQLite cannot hold."""
    columns, kept, refused = layout(model), list(row), []
    for index, value in enumerate(row):
        try:
            file.execute("SELECT ?", [value])
        except VALUE_ERRORS as error:
            refuse(Refusal(row=row, column=columns[index], value=value, why=str(error)))
            refused.append(columns[index])
            kept[index] = None
    if refused:
        kept[columns.index(REFUSED)] = ",".join(filter(None, [row[-1], *refused]))
    return kept
