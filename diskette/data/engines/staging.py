"""Staging as every engine does it: tables of a run's own beside the live ones.

A staged table has its live one's columns, of the same types, and none of its rules, so
that what is wrong can be found there by SQL and told all at once. Besides:

- `diskette_line`: the row's line in the archive, from 1;
- `diskette_refused`: the columns whose value the engine cannot hold, comma separated;
- `diskette_natural_<n>`: the natural key, as JSON, that the nth column is to stand for;
- `diskette_keyless`: 1 where the archive holds the row without its primary key.

`diskette_contents` says which models are staged, in load order, and how many rows of
each: a staging that lost rows (PostgreSQL empties unlogged tables after a crash) is seen.

Here and in the engines, identifiers come from the models and are quoted by Django; no
value is ever spliced into SQL.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import truncate_name
from django.db.models import DecimalField, Model
from django.db.utils import Error

from diskette.core.exceptions import DatabaseAway, DatabaseRefused, InsufficientSpace
from diskette.core.fence import Fence, unfenced
from diskette.core.manifest import ModelEntry
from diskette.core.space import free
from diskette.data import sessions, tables, values
from diskette.data.engines.layout import Layout
from diskette.data.kinds import AnyField, Column, Kind

LINE = "diskette_line"
REFUSED = "diskette_refused"
NATURAL = "diskette_natural_{}"
KEYLESS = "diskette_keyless"
CONTENTS = "diskette_contents"
NAME_LENGTH = 50
"""Of a staged table, in characters: PostgreSQL cuts at 63 bytes."""

JSON_TYPES = frozenset({bool, dict, float, int, list, str})

T = TypeVar("T")

Row = list[Any]
"""Values in the order of `layout`, ready for the driver."""

Write = Callable[[Any], Any]
"""From a decoded value other than None to the driver's; raises ValueError where it will not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A value that the engine cannot hold, and the row it stands in."""

    row: Row
    column: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut:
    """How JSON values of a column may go to the driver as they are, or nearly."""

    types: frozenset[type]
    """Of those JSON values; null besides."""
    write: Write | None = None
    """To the driver's value; raises ValueError for one that must be looked at more closely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What `diskette_contents` says of a model. `rows` is None until it was loaded."""

    model: str
    rows: int | None


ReadRows = Callable[[], Iterable[Row]]
Refuse = Callable[[Refusal], None]


def layout(model: type[Model]) -> tuple[str, ...]:
    """The names of a staged table's columns, in the order in which rows are written."""
    columns = [tables.column_name(field) for field in tables.stored_fields(model)]
    naturals = [natural_column(model, each) for each in tables.natural_references(model)]
    return (*columns, *naturals, KEYLESS, LINE, REFUSED)


def natural_column(model: type[Model], reference: AnyField) -> str:
    """Where the natural key that stands for a reference's value is kept."""
    return NATURAL.format(tables.stored_fields(model).index(reference))


class EngineStaging(ABC):
    """The staging of one run in one database. Holds no state but names.

    `fence` is called last in each transaction that fills or changes the staging: it raises
    where another process has taken the step over, so that a late copy commits nothing.
    """

    shortcuts: Mapping[Kind, Shortcut]
    layout: Layout
    overriding = ""
    """What lets an INSERT write the keys that the database would make itself."""

    def __init__(self, run: str, database: str, workspace: Path, fence: Fence = unfenced) -> None:
        self.database = database
        self.workspace = workspace
        self.fence = fence
        self.schema = sessions.name_of(run)

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.database]

    @abstractmethod
    def create(self, models: Sequence[type[Model]]) -> None:
        """Make tables for the models that have none yet: all of them or none."""

    @abstractmethod
    def writer(self, field: AnyField, kind: Kind) -> Write | None:
        """What `field.get_db_prep_save` would do to a decoded value; None: nothing.

        A value that the column would silently change is refused.
        """

    def shortcut(self, column: Column) -> Shortcut:
        """What spares regular values the way through Python's types.

        The engine itself must refuse what is none of the column's, or `write` must.
        """
        return self.shortcuts.get(column.kind) or self.detour(column)

    def detour(self, column: Column) -> Shortcut:
        """The way through Python's types, for any JSON value."""
        decode = values.decoder(column.field, column.kind)
        write = self.writer(column.field, column.kind)
        if write is None:
            return Shortcut(types=JSON_TYPES, write=decode)
        return Shortcut(types=JSON_TYPES, write=lambda value: write(decode(value)))

    @abstractmethod
    def fill(self, model: type[Model], rows: ReadRows, refuse: Refuse) -> int:
        """Write a model's rows in one transaction, in place of any before, and count them.

        `rows` is called a second time when the engine refused a value in the first
        pass; then each refused value is told, and written as null.
        """

    @abstractmethod
    def make_keys(self, model: type[Model], table: str, pairs: Iterable[tuple[str, Any]]) -> None:
        """Fill a table afresh with natural keys, as JSON, and raw primary keys of the model."""

    @abstractmethod
    def end_others(self) -> None:
        """End what other processes do with this staging, where a server can.

        Copies of a step that were taken for dead: what they hold is waited for in vain.
        """

    @abstractmethod
    def drop(self) -> None:
        """Leave no trace, whatever there is."""

    @abstractmethod
    def opened(self, *, writing: bool) -> AbstractContextManager[None]:
        """Where the Django connection sees live and staged tables; outside of a transaction."""

    @abstractmethod
    def checking(self) -> AbstractContextManager[None]:
        """Around what only reads live tables: nobody is kept waiting."""

    @abstractmethod
    def applying(self, models: Sequence[type[Model]]) -> AbstractContextManager[Callable[[], None]]:
        """One transaction that only ever writes live tables, their writers kept out.

        What it gives lets the database complain at once of what it would refuse at commit.
        """

    @abstractmethod
    def live(self, model: type[Model]) -> str:
        """The model's live table, by a name that no view can stand before."""

    @abstractmethod
    def portions(self, model: type[Model]) -> Iterator[str]:
        """Conditions that together select each staged row once, some ten thousand at a time."""

    def insert(self, model: type[Model], portion: str) -> int:
        """Make a portion of the staged rows live ones; the number of them."""
        return self.execute(self.insertion(model, portion))

    def upsert(self, model: type[Model], portion: str) -> int:
        """The same where some may be live: every column but the key takes the staged value."""
        keys = self.key_columns(model)
        others = [column for column in self.columns(model) if column not in keys]
        # Setting a key to itself makes a row that is only a key count as written.
        settings = ", ".join(f"{column} = excluded.{column}" for column in others or keys)
        conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {settings}"
        return self.execute(f"{self.insertion(model, portion)} {conflict}")

    def insertion(self, model: type[Model], portion: str) -> str:
        columns = ", ".join(self.columns(model))
        return (
            f"INSERT INTO {self.live(model)} ({columns}) {self.overriding}"
            f" SELECT {columns} FROM {self.staged(model)} WHERE {portion}"
        )

    @abstractmethod
    def reset_sequences(self, models: Sequence[type[Model]], *, lower: bool) -> None:
        """Let each sequence go on after the highest value; `lower`: even if that is a step back."""

    @abstractmethod
    def is_passing(self, error: BaseException) -> bool:
        """Whether another attempt may succeed: a lock, a deadlock, a server away."""

    @abstractmethod
    def blame(self, error: BaseException) -> str:
        """The table that a database error speaks of, or nothing."""

    @abstractmethod
    def cascades_into(self, models: Sequence[type[Model]]) -> frozenset[str]:
        """Tables of these models whose deletion the database itself would carry to others'."""

    @contextmanager
    def explained(self, table: Callable[[], str] = str) -> Iterator[None]:
        """Name a database error's place and cause; `table` is asked where the error is silent."""
        try:
            with self.connection.wrap_database_errors:
                yield
        except Error as error:
            if self.is_passing(error):
                why = f"The database {self.database} is away or busy: {_first_line(error)}."
                raise DatabaseAway(f"{why} Another attempt may succeed.") from error
            if disk := self.full_disk(error):
                raise InsufficientSpace(disk, 0, self.room(), _first_line(error)) from error
            where = self.blame(error) or table()
            raise DatabaseRefused(self.database, where, self.cause(error)) from error

    def full_disk(self, error: BaseException) -> str:  # noqa: ARG002
        """Where the database found no room, if that is what the error says."""
        return ""

    def room(self) -> int:
        """Bytes left on the disk of the staging, as far as this machine can tell."""
        return free(self.workspace)

    @abstractmethod
    def volume(self) -> Path | None:
        """The directory where the live database lies; None: on a disk that is not seen here."""

    @abstractmethod
    def taken(self) -> int:
        """Bytes that the live database takes now, as far as it tells; not its server's log."""

    def staged_in(self) -> Path | None:
        """Where staged rows take room: beside the live ones."""
        return self.volume()

    def room_to_apply(self, entries: Mapping[type[Model], ModelEntry]) -> int:
        """Bytes that rows take as live ones, while those which they replace are still kept."""
        return sum(self.layout.live(entry, model) for model, entry in entries.items())

    def cause(self, error: BaseException) -> str:
        return _first_line(error)

    def staged(self, model: type[Model]) -> str:
        return self.named(f"rows_{model._meta.label_lower}")

    def keys(self, model: type[Model]) -> str:
        """The table of the model's natural keys, made while references are resolved."""
        return self.named(f"keys_{model._meta.label_lower}")

    @property
    def contents_table(self) -> str:
        return self.named(CONTENTS)

    def named(self, name: str) -> str:
        """A name in the staging: quoted, qualified, of bearable length."""
        return f'"{self.schema}"."{truncate_name(name, NAME_LENGTH)}"'

    def quoted(self, name: str) -> str:
        return self.connection.ops.quote_name(name)

    def natural(self, model: type[Model], reference: AnyField) -> str:
        return self.quoted(natural_column(model, reference))

    def column(self, field: AnyField) -> str:
        return self.quoted(tables.column_name(field))

    def columns(self, model: type[Model]) -> list[str]:
        return [self.column(field) for field in tables.stored_fields(model)]

    def key_columns(self, model: type[Model]) -> list[str]:
        return [self.column(field) for field in tables.key_fields(model)]

    def execute(self, sql: str) -> int:
        """Run a statement that has no parameters; the number of rows it touched."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def scalar(self, sql: str) -> Any:
        return self.query(sql)[0][0]

    def contents(self) -> tuple[Content, ...]:
        """What is staged, in load order. Asked for within `opened`."""
        names = f"model, {self.quoted('rows')}"  # MySQL and MariaDB reserve it
        rows = self.query(f"SELECT {names} FROM {self.contents_table} ORDER BY position")
        return tuple(Content(model=model, rows=rows) for model, rows in rows)

    def promise(self, model: type[Model]) -> None:
        """Note how many rows of a model are staged, to be compared when they are applied."""
        counted = f"(SELECT count(*) FROM {self.staged(model)})"
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {self.contents_table} SET {self.quoted('rows')} = {counted}"
                " WHERE model = %s",
                [model._meta.label],
            )

    @contextmanager
    def shadowed(self, tables: Mapping[str, str]) -> Iterator[None]:
        """Let tables, as all SQL and the ORM name them, be the given selections for a while.

        Temporary views come first in both engines' search: what is read is the database
        as it will be. The views are this connection's own.
        """
        for table, selection in tables.items():
            self.execute(f"CREATE TEMPORARY VIEW {self.quoted(table)} AS {selection}")
        try:
            yield
        finally:
            self._unshadow(tables)

    @abstractmethod
    def _unshadow(self, tables: Iterable[str]) -> None:
        """Drop the views; after an error the transaction may have done so."""


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size`."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def plain_decimal(field: DecimalField[Any, Any]) -> Callable[[str], bool]:
    """Whether a text is a number that the column keeps as it stands, for all we can see."""
    fraction = rf"(\.[0-9]{{1,{field.decimal_places}}})?" if field.decimal_places else ""
    matches = re.compile(rf"-?[0-9]+{fraction}").fullmatch
    return lambda text: matches(text) is not None


def within_places(field: DecimalField[Any, Any]) -> Write:
    """Decimals as they are; refused where the column would round them."""
    places = field.decimal_places

    def write(value: Decimal) -> Decimal:
        _, digits, exponent = value.as_tuple()
        if isinstance(exponent, int) and exponent < -places and any(digits[exponent + places :]):
            raise ValueError(f"it has more than {places} decimal places")
        return value

    return write


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def staged_columns(model: type[Model]) -> tuple[str, ...]:
    """The columns of a staged table that its live one has not."""
    return layout(model)[len(tables.stored_fields(model)) :]
