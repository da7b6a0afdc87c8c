"""Reading as every engine does it: a table's own columns, row by row, memory flat.

An engine says for each column by which SQL expression it is read and by which function
the driver's value becomes a piece of the line. Identifiers come from the models and are
quoted by Django; no value is ever spliced into SQL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.utils.encoding import is_protected_type

from diskette.core.exceptions import ConfigurationError
from diskette.data import spelling, tables
from diskette.data.kinds import Column
from diskette.data.spelling import Spell

PAGE_ROWS = 500
PAGE_BYTES = 256 * 1024
"""Rows are taken until they are so large together: one large row does not bring others."""
Row = Sequence[Any]
"""The driver's values, in the order of the columns."""
Page = Sequence[Row]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a table holds, roughly, by the engine's own statistics."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Condition:
    """A WHERE clause and its parameters; both empty for all rows."""

    sql: str = ""
    parameters: tuple[Any, ...] = ()


class Reading(ABC):
    """How one model's table is read in one database."""

    null: Any = None
    """How the driver's row shows SQL's NULL."""

    def __init__(self, model: type[Model], columns: Sequence[Column], using: str) -> None:
        self.model, self.columns, self.using = model, columns, using

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.using]

    @abstractmethod
    def expression(self, column: Column) -> str:
        """The SQL that reads a column."""

    @abstractmethod
    def spellers(self) -> Sequence[Spell | None]:
        """For each column, what makes a piece of a value that is not null; None: it is one."""

    @abstractmethod
    def pages(self, condition: Condition, *, asks: bool) -> Iterator[Page]:
        """All rows by primary key, PAGE_ROWS or some PAGE_BYTES at a time.

        `asks`: other queries are asked of the connection in between.
        """

    def found(self, column: Column, value: Any) -> Any:  # noqa: ARG002 - engines that wrap values ask it
        """What a column holds, of a value in a row that its speller refused; never raises."""
        return value

    def select(self, condition: Condition, form: str = "{}") -> str:
        """The statement that reads all columns, each expression in the given form."""
        expressions = ", ".join(form.format(self.expression(each)) for each in self.columns)
        statement = f"SELECT {expressions} FROM {self.table}"
        if condition.parameters:
            statement = statement.replace("%", "%%")
        return f"{statement}{condition.sql} ORDER BY {self.keys}"

    def visible(self) -> Condition:
        """The rows that the default manager shows."""
        shown: QuerySet[Any] = self.model._default_manager.using(self.using).order_by()  # noqa: SLF001
        sql, parameters = shown.values("pk").query.get_compiler(self.using).as_sql()
        return Condition(f" WHERE ({self.keys}) IN ({sql})", tuple(parameters))

    def ends(self, rows: int) -> Condition:
        """So many rows, half of them the first ones, half the last."""
        backwards = ", ".join(f"{key} DESC" for key in self._key_columns)
        halves = " UNION ALL ".join(
            f"SELECT * FROM (SELECT {self.keys} FROM {self.table} ORDER BY {order}"
            f" LIMIT {rows // 2}) AS {name}"
            for order, name in ((self.keys, "first"), (backwards, "last"))
        )
        return Condition(f" WHERE ({self.keys}) IN (SELECT * FROM ({halves}) AS ends)")

    def count(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self.table}")
            return int(cursor.fetchone()[0])

    @classmethod
    @abstractmethod
    def estimate(cls, models: Sequence[type[Model]], using: str) -> dict[str, Estimate]:
        """By label, what the tables hold; asked of the engine's statistics where it has any."""

    @property
    def table(self) -> str:
        return self.quoted(self.model._meta.db_table)

    @property
    def keys(self) -> str:
        return ", ".join(self._key_columns)

    @property
    def _key_columns(self) -> list[str]:
        return [self.quoted(str(each.column)) for each in tables.key_fields(self.model)]

    def quoted(self, name: str) -> str:
        return self.connection.ops.quote_name(name)

    def as_django_reads(self, column: Column) -> str:
        """The column as the ORM would select it: some fields have a format of their own."""
        source: Any = column.field.get_col(self.model._meta.db_table)
        compiler = QuerySet(self.model, using=self.using).query.get_compiler(self.using)
        sql, parameters = source.select_format(compiler, self.quoted(column.column), [])
        return self.quoted(column.column) if parameters else str(sql)


@contextmanager
def alone(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Refuse other queries while rows are streamed: the drivers would wait for ever."""

    def refuse(_execute: Any, sql: str, *_: Any) -> Any:
        raise RuntimeError(f"{connection.alias} is streaming rows; it cannot do {sql!r} meanwhile")

    with connection.execute_wrapper(refuse):
        yield


def gathered(rows: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Rows in pages; `size` is roughly what a row takes, in bytes."""
    page, taken = list[Item](), 0
    for row in rows:
        page.append(row)
        taken += size(row)
        if taken >= PAGE_BYTES or len(page) == PAGE_ROWS:
            yield page
            page, taken = [], 0
    if page:
        yield page


def through_django(column: Column, connection: BaseDatabaseWrapper) -> Callable[[Any], Any]:
    """From the driver's value to the one that the ORM would show."""
    source: Any = column.field.get_col(column.field.model._meta.db_table)
    converters = [
        *connection.ops.get_db_converters(source),
        *source.get_db_converters(connection),
    ]

    def convert(value: Any) -> Any:
        for each in converters:
            value = each(value, source, connection)
        return value

    return convert


def own_speller(column: Column, connection: BaseDatabaseWrapper) -> Spell:
    """Through the field's own methods, as Django's serializer does it."""
    convert, spell = through_django(column, connection), shown_speller(column)
    return lambda raw: spell(convert(raw))


def shown_speller(column: Column) -> Spell:
    """The same for a value as the ORM shows it."""
    root = column.root
    bearer = root.model.__new__(root.model)

    def spell(value: Any) -> str:
        bearer.__dict__[root.attname] = value
        plain: bool = is_protected_type(value)
        return spelling.anything(value if plain else root.value_to_string(bearer))

    return spell


def reading_of(using: str) -> type[Reading]:
    """How tables of a database are read. Raises ConfigurationError at an unknown engine."""
    vendor = connections[using].vendor
    if vendor == "sqlite":
        from diskette.data.engines.sqlite_reading import SQLiteReading

        return SQLiteReading
    if vendor == "postgresql":
        from diskette.data.engines.postgresql_reading import PostgreSQLReading

        return PostgreSQLReading
    if vendor == "mysql":
        from diskette.data.engines.mysql_reading import MySQLReading

        return MySQLReading
    raise ConfigurationError(
        f"Database {using!r} is of a kind that Diskette does not read ({vendor}): it knows "
        "PostgreSQL, SQLite and MariaDB/MySQL. Leave this database's models out of DISKETTE_APPS."
    )
