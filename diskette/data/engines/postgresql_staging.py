"""Staging in a schema of the run's own: unlogged tables, filled by COPY.

Everything is done inside transactions, with `SET LOCAL` only: a pooler may stand between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import DecimalField, Model
from psycopg.pq import TransactionStatus

from diskette import conf
from diskette.data import sessions
from diskette.data.engines import postgresql_aside
from diskette.data.engines.layout import Layout
from diskette.data.engines.postgresql_aside import Aside
from diskette.data.engines.staging import (
    KEYLESS,
    LINE,
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

IS_DURATION = re.compile(r"([0-9]+ )?[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?").fullmatch
UUID_LENGTH = 36
DAY_LENGTH = 10
PORTION_PAGES = 1000
LOCK_TIMEOUT = "60s"
"""How long a lock is waited for; a table that someone holds longer is worth another attempt."""
STATISTICS_TARGET = 10
"""Enough to choose joins by; PostgreSQL's own 100 reads ten times as many rows."""
CAREFUL_ROWS = 500
KEY_ROWS = 1000
DISK_FULL = "53100"
PASSING_STATES = ("08", "40", "55P03", "57P", "53300")
"""Connection lost, deadlock, lock timeout, shutdown, too many connections."""
VALUE_ERRORS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    UnicodeError,
    ValueError,
    OverflowError,
)


def _uuid(text: str) -> str:
    if len(text) == UUID_LENGTH:
        return text
    raise ValueError(text)


def _day(text: str) -> str:
    """PostgreSQL also knows `today` and the like."""
    if len(text) == DAY_LENGTH and text[4] == "-":
        return text
    raise ValueError(text)


def _clock(text: str) -> str:
    if text[2] == ":" and text[-1].isdigit():
        return text
    raise ValueError(text)


def _duration(text: str) -> str:
    """Where time is negative, PostgreSQL and Django differ about the sign of the days."""
    if IS_DURATION(text):
        return text
    raise ValueError(text)


def _instant(text: str) -> str:
    if text.endswith("+00:00") and text[DAY_LENGTH] == "T":
        return text
    raise ValueError(text)


SHORTCUTS = {
    Kind.INTEGER: Shortcut(types=frozenset({int})),
    Kind.FLOAT: Shortcut(types=frozenset({float, int})),
    Kind.BOOLEAN: Shortcut(types=frozenset({bool})),
    Kind.TEXT: Shortcut(types=frozenset({str})),
    Kind.ADDRESS: Shortcut(types=frozenset({str})),
    Kind.JSON: Shortcut(types=frozenset({JSONText})),
    Kind.UUID: Shortcut(types=frozenset({str}), write=_uuid),
    Kind.DATE: Shortcut(types=frozenset({str}), write=_day),
    Kind.TIME: Shortcut(types=frozenset({str}), write=_clock),
    Kind.DURATION: Shortcut(types=frozenset({str}), write=_duration),
}
"""PostgreSQL reads these as Diskette writes them, and refuses what is none of them."""


LAYOUT = Layout(
    page=8192,
    row=32,
    entry=12,
    filled=0.8,
    patterns=True,
    staged_indexes=False,
    widths={
        Kind.INTEGER: 8,
        Kind.FLOAT: 8,
        Kind.DECIMAL: 10,
        Kind.BOOLEAN: 1,
        Kind.DATE: 4,
        Kind.TIME: 8,
        Kind.INSTANT: 8,
        Kind.DURATION: 16,
        Kind.UUID: 16,
        Kind.ADDRESS: 12,
    },
)


class PostgreSQLStaging(EngineStaging):
    shortcuts = SHORTCUTS
    layout = LAYOUT
    overriding = "OVERRIDING SYSTEM VALUE"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._live: dict[str, str] = {}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One that bears the run's name, so that `end_others` finds it."""
        with transaction.atomic(using=self.database):
            self.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            sessions.name_transaction(self.database, self.schema)
            yield

    def end_others(self) -> None:
        sessions.end_others(self.database, self.schema)

    def create(self, models: Sequence[type[Model]]) -> None:
        with self._transaction():
            self.execute(f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"')
            self.execute(
                f"CREATE TABLE IF NOT EXISTS {self.contents_table} (position"
                " integer GENERATED ALWAYS AS IDENTITY, model text PRIMARY KEY, rows bigint)"
            )
            made = {content.model for content in self.contents()}
            for model in models:
                if model._meta.label not in made:
                    self._create_table(model)

    def _create_table(self, model: type[Model]) -> None:
        """The types are taken from the live table, whatever migrations made of them."""
        added = [f"NULL::{_type(name)} AS {self.quoted(name)}" for name in staged_columns(model)]
        self.execute(
            f"CREATE UNLOGGED TABLE {self.staged(model)} AS SELECT"
            f" {', '.join([*self.columns(model), *added])} FROM {self.live(model)} WITH NO DATA"
        )
        self._note(f"INSERT INTO {self.contents_table} (model) VALUES (%s)", model._meta.label)

    def _note(self, sql: str, *values: Any) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)

    def writer(self, field: AnyField, kind: Kind) -> Write | None:
        if kind is Kind.DECIMAL:
            return within_places(cast("DecimalField[Any, Any]", root_of(field)))
        if kind is not Kind.CUSTOM:
            return None
        prepare, connection = field.get_db_prep_save, self.connection
        return lambda value: prepare(value, connection)

    def shortcut(self, column: Column) -> Shortcut:
        if column.kind is Kind.INSTANT and conf.use_tz():
            return Shortcut(types=frozenset({str}), write=_instant)
        if column.kind is Kind.DECIMAL:
            return Shortcut(types=frozenset({str}), write=_decimal(column.root))
        return super().shortcut(column)

    def fill(self, model: type[Model], rows: ReadRows, refuse: Refuse) -> int:
        try:
            with self._filling(model):
                return self._copy(model, rows())
        except VALUE_ERRORS:
            with self._filling(model):
                parts = batches(rows(), CAREFUL_ROWS)
                return sum(self._copy_carefully(model, part, refuse) for part in parts)

    @contextmanager
    def _filling(self, model: type[Model]) -> Iterator[None]:
        with self._transaction():
            self.execute(f"TRUNCATE {self.staged(model)}")
            yield
            self.execute(f"SET LOCAL default_statistics_target = {STATISTICS_TARGET}")
            self.execute(f"ANALYZE {self.staged(model)}")
            self.promise(model)
            self.fence()

    def _copy(self, model: type[Model], rows: Iterable[Row], columns: Sequence[str] = ()) -> int:
        names = ", ".join(map(self.quoted, columns or layout(model)))
        with self.connection.cursor() as cursor:
            with cursor.copy(f"COPY {self.staged(model)} ({names}) FROM STDIN") as copy:
                write = copy.write_row
                for row in rows:
                    write(row)
            return int(cursor.rowcount)

    def _copy_carefully(self, model: type[Model], batch: Sequence[Row], refuse: Refuse) -> int:
        """Copy what can be, telling each value that cannot, and leaving it out."""
        columns = layout(model)
        if self._first_fault(model, batch, columns) is None:
            return self._copy(model, batch)
        kept = [list(row) for row in batch]
        for index, column in enumerate(columns):
            for at, error in self._faults(model, [[row[index]] for row in batch], column):
                row = batch[at]
                refuse(Refusal(row=row, column=column, value=row[index], why=_why(error)))
                kept[at][index] = None
                kept[at][-1] = ",".join(filter(None, [kept[at][-1], column]))
        return self._copy(model, kept)

    def _faults(
        self, model: type[Model], values: Sequence[Row], column: str
    ) -> Iterator[tuple[int, Exception]]:
        """Where in one column's values those stand that PostgreSQL cannot hold, and why."""
        done = 0
        while found := self._first_fault(model, values[done:], [column]):
            at, error = found
            yield done + at, error
            done += at + 1

    def _first_fault(
        self, model: type[Model], rows: Sequence[Row], columns: Sequence[str]
    ) -> tuple[int, Exception] | None:
        """The index and error of the first row that is not taken. Nothing is copied by this."""
        begun = 0

        def counted() -> Iterator[Row]:
            nonlocal begun
            for row in rows:
                begun += 1
                yield row

        try:
            with transaction.atomic(using=self.database):
                self._copy(model, counted(), columns)
                transaction.set_rollback(True, using=self.database)
        except VALUE_ERRORS as error:
            return (_line_at_fault(error) or begun) - 1, error
        return None

    def make_keys(self, model: type[Model], table: str, pairs: Iterable[tuple[str, Any]]) -> None:
        (key,) = self.key_columns(model)
        self.execute(f"DROP TABLE IF EXISTS {table}")
        self.execute(
            f"CREATE UNLOGGED TABLE {table} AS SELECT NULL::text AS natural_key, {key} AS value"
            f" FROM {self.live(model)} WITH NO DATA"
        )
        with self.connection.cursor() as cursor:
            for part in batches(
                pairs, KEY_ROWS
            ):  # complete before each COPY: they may be asked for
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    for pair in part:
                        copy.write_row(pair)
        for column in ("natural_key", "value"):
            self.execute(f"CREATE INDEX ON {table} ({column})")
        self.execute(f"ANALYZE {table}")

    def drop(self) -> None:
        with self._transaction():
            self.execute(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')

    def volume(self) -> Path | None:
        """Seen only where the server is this machine's own, and tells."""
        found = self.query("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
        host = self.connection.connection.info.host
        is_here = host.startswith("/") and found and Path(found[0][0]).is_dir()
        return Path(found[0][0]) if is_here else None

    def taken(self) -> int:
        return int(self.scalar("SELECT pg_database_size(current_database())"))

    @contextmanager
    def opened(self, *, writing: bool) -> Iterator[None]:  # noqa: ARG002 - for SQLite
        """Live and staged tables are in one database anyway."""
        yield

    @contextmanager
    def checking(self) -> Iterator[None]:
        with self._transaction():
            yield
            self.fence()

    @contextmanager
    def applying(self, models: Sequence[type[Model]]) -> Iterator[Callable[[], None]]:
        """Readers go on reading the old rows until the commit."""
        with self._transaction():
            if names := ", ".join(sorted(self.live(model) for model in models)):
                self.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
            self.execute("SET CONSTRAINTS ALL DEFERRED")
            aside = self._set_aside(models)
            yield partial(self._enforce, aside)

    def _set_aside(self, models: Sequence[type[Model]]) -> list[Aside]:
        empty = [name for name in map(self.live, models) if self._is_empty(name)]
        aside = postgresql_aside.found(self.connection, empty)
        for each in aside:
            self.execute(each.take)
        return aside

    def _is_empty(self, table: str) -> bool:
        return not self.scalar(f"SELECT EXISTS (SELECT 1 FROM {table})")

    def _enforce(self, aside: Sequence[Aside]) -> None:
        """Indexes first: the proof of a foreign key may use them."""
        self.execute("SET CONSTRAINTS ALL IMMEDIATE")
        self.execute("SET LOCAL default_tablespace = ''")  # where the indexes were
        for each in reversed(aside):
            self.execute(each.bring_back)

    def live(self, model: type[Model]) -> str:
        """Looked up without the temporary schema, and remembered."""
        table = model._meta.db_table
        if table not in self._live:
            self._live[table] = self._looked_up(table)
        return self._live[table]

    def _looked_up(self, table: str) -> str:
        schema, _, name = table.strip('"').rpartition('"."')
        if schema:
            return self.quoted(table)
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
                " WHERE relname = %s AND relkind IN ('r', 'p', 'f')"
                " AND nspname = ANY(current_schemas(false))"
                " ORDER BY array_position(current_schemas(false), nspname) LIMIT 1",
                [name],
            )
            found = cursor.fetchone()
        return f'"{found[0]}".{self.quoted(name)}' if found else self.quoted(name)

    def portions(self, model: type[Model]) -> Iterator[str]:
        """Ranges of pages, which PostgreSQL finds without an index."""
        size = f"pg_relation_size('{self.staged(model).replace(chr(39), chr(39) * 2)}')"
        pages = self.scalar(f"SELECT {size} / current_setting('block_size')::bigint")
        for first in range(0, pages, PORTION_PAGES):
            yield f"ctid >= '({first},0)' AND ctid < '({first + PORTION_PAGES},0)'"

    def reset_sequences(self, models: Sequence[type[Model]], *, lower: bool) -> None:
        """By ALTER SEQUENCE, which a rollback takes back; setval would stay."""
        for table, column, sequence, first, least, greatest in self._sequences(models):
            highest = self.scalar(f"SELECT max({self.quoted(column)}) FROM {table}")
            following = first if highest is None else min(max(highest + 1, least), greatest)
            if lower or following > self._next_value(sequence):
                self.execute(f"ALTER SEQUENCE {sequence} RESTART WITH {following}")

    def _sequences(self, models: Sequence[type[Model]]) -> list[tuple[Any, ...]]:
        """Of every serial and identity column, whatever the field is."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT attrelid::regclass::text, attname, seqrelid::regclass::text, seqstart,"
                " seqmin, seqmax FROM pg_sequence JOIN pg_depend ON objid = seqrelid"
                " AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')"
                " JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid"
                " WHERE refobjid = ANY(%s::regclass[]) AND seqincrement > 0",
                [[self.live(model) for model in models]],
            )
            return list(cursor.fetchall())

    def _next_value(self, sequence: str) -> int:
        return int(self.scalar(f"SELECT last_value + is_called::int FROM {sequence}"))

    def is_passing(self, error: BaseException) -> bool:
        """A server that went away mid-sentence says no code."""
        state = getattr(error.__cause__ or error, "sqlstate", None)
        away = isinstance(error, OperationalError | InterfaceError) and state is None
        return away or str(state).startswith(PASSING_STATES)

    def full_disk(self, error: BaseException) -> str:
        state = getattr(error.__cause__ or error, "sqlstate", None)
        return f"the disk of the database {self.database}" if state == DISK_FULL else ""

    def room(self) -> int:
        """Unknown: the disk is the server's."""
        return 0

    def cause(self, error: BaseException) -> str:
        diagnosis = getattr(error.__cause__ or error, "diag", None)
        parts = [getattr(diagnosis, name, None) for name in ("message_primary", "message_detail")]
        return ". ".join(part.rstrip(".") for part in parts if part) or super().cause(error)

    def blame(self, error: BaseException) -> str:
        diagnosis = getattr(error.__cause__ or error, "diag", None)
        return str(getattr(diagnosis, "table_name", None) or "")

    def cascades_into(self, models: Sequence[type[Model]]) -> frozenset[str]:
        names = {self.live(model): model._meta.db_table for model in models}
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT parent FROM unnest(%s::text[]) AS parent"
                " JOIN pg_constraint ON confrelid = parent::regclass"
                " WHERE contype = 'f' AND confdeltype IN ('c', 'n', 'd')"
                " AND conrelid <> ALL(%s::regclass[])",
                [list(names), list(names)],
            )
            return frozenset(names[parent] for (parent,) in cursor.fetchall())

    def _unshadow(self, tables: Iterable[str]) -> None:
        """An aborted transaction takes its views along."""
        if self._status() is TransactionStatus.INTRANS:
            for table in tables:
                self.execute(f"DROP VIEW pg_temp.{self.quoted(table)}")

    def _status(self) -> TransactionStatus:
        return self.connection.connection.info.transaction_status  # type: ignore[no-any-return]


def _decimal(field: AnyField) -> Write:
    is_plain = plain_decimal(cast("DecimalField[Any, Any]", field))

    def write(text: str) -> str:
        if is_plain(text):
            return text
        raise ValueError(text)

    return write


def _type(staged_column: str) -> str:
    return "bigint" if staged_column in (LINE, KEYLESS) else "text"


def _line_at_fault(error: Exception) -> int | None:
    """From `COPY table, line 3, column x`, in whatever language the server speaks."""
    context = getattr(getattr(error, "diag", None), "context", None) or ""
    lines = [line for line in context.splitlines() if line.startswith("COPY ")]
    found = re.search(r'^COPY (?:"(?:[^"]|"")*"|\S+?), \D*(\d+)', lines[-1]) if lines else None
    return int(found.group(1)) if found else None


def _why(error: Exception) -> str:
    diagnosis = getattr(error, "diag", None)
    return str(getattr(diagnosis, "message_primary", None) or error)
