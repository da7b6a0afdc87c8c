"""Tables read by plain SQL, from every engine, their values spelled alike."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, LiteralString
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from worker import mariadb
from worker.comparison import spelling
from worker.comparison.spelling import Speller

CONTENT_TYPES = "django_content_type"
PERMISSIONS = "auth_permission"
BOOKKEEPING = frozenset({"django_migrations", "django_session", CONTENT_TYPES, PERMISSIONS})
BOOKKEEPING_PREFIXES = ("diskette_", "django_celery_beat_", "django_celery_results_")

NATURAL_KEYS: Mapping[str, LiteralString] = {
    CONTENT_TYPES: "SELECT id, app_label, model FROM django_content_type",
    PERMISSIONS: """
        SELECT auth_permission.id, app_label, codename, model FROM auth_permission
        JOIN django_content_type ON django_content_type.id = content_type_id""",
}
"""Made by migrate with other keys on each site; what refers to them is compared by these."""


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[str, ...]
    """By the alphabet: their order in a table depends on the engine's migrations."""
    rows: Mapping[str, tuple[str, ...]]
    """By primary key; rows without one by all they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    kind: str
    """The type as the engine calls it; SQLite's documents are called json."""


class Database(ABC):
    """A database open for reading."""

    engine: ClassVar[str]

    @abstractmethod
    def table_names(self) -> Iterable[str]: ...

    @abstractmethod
    def columns(self, table: str) -> Iterable[Column]: ...

    @abstractmethod
    def primary_key(self, table: str) -> Sequence[str]: ...

    @abstractmethod
    def foreign_keys(self, table: str) -> Mapping[str, str]:
        """The table that each referring column refers to."""

    @abstractmethod
    def rows(self, table: str, columns: Sequence[Column]) -> Iterable[Sequence[Any]]: ...

    @abstractmethod
    def query(self, statement: LiteralString) -> Iterable[Sequence[Any]]: ...

    @abstractmethod
    def speller(self, column: Column, *, keep_order: bool) -> Speller: ...

    def worn_counters(self) -> dict[str, int]:
        """Tables whose next key lies below one that is there, and that next key."""
        return {}

    def read_tables(self, *, keep_order: bool) -> dict[str, Table]:
        """Every table but bookkeeping."""
        return {
            name: self._read_table(name, keep_order=keep_order)
            for name in sorted(self.table_names())
            if name not in BOOKKEEPING and not name.startswith(BOOKKEEPING_PREFIXES)
        }

    def _read_table(self, name: str, *, keep_order: bool) -> Table:
        columns = sorted(self.columns(name), key=lambda column: column.name)
        names = tuple(column.name for column in columns)
        spellers = self._spellers(name, columns, keep_order=keep_order)
        key = [names.index(column) for column in self.primary_key(name)] or range(len(names))
        seen: Counter[str] = Counter()
        rows = {}
        for values in self.rows(name, columns):
            row = tuple(
                "null" if value is None else spell(value)
                for spell, value in zip(spellers, values, strict=True)
            )
            spelled_key = ", ".join(row[place] for place in key)
            seen[spelled_key] += 1
            again = f" ({seen[spelled_key]})" if seen[spelled_key] > 1 else ""
            rows[spelled_key + again] = row
        return Table(names, rows)

    def _spellers(
        self, table: str, columns: Iterable[Column], *, keep_order: bool
    ) -> list[Speller]:
        targets = self.foreign_keys(table)
        names = {column: self._names.get(target) for column, target in targets.items()}
        return [
            spelling.reference(known)
            if (known := names.get(column.name)) is not None
            else self.speller(column, keep_order=keep_order)
            for column in columns
        ]

    @cached_property
    def _names(self) -> dict[str, dict[str, str]]:
        present = set(self.table_names())
        return {
            table: {str(key): ".".join(words) for key, *words in self.query(statement)}
            for table, statement in NATURAL_KEYS.items()
            if table in present
        }


class SQLite(Database):
    engine = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def table_names(self) -> Iterable[str]:
        found = self.query("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return [name for (name,) in found if not name.startswith("sqlite_")]

    def columns(self, table: str) -> Iterable[Column]:
        ((definition,),) = self._connection.execute(
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)
        )
        found = self._connection.execute("SELECT name, type FROM pragma_table_xinfo(?)", (table,))
        return [
            Column(name=name, kind="json" if f'JSON_VALID("{name}")' in definition else kind)
            for name, kind in found
        ]

    def primary_key(self, table: str) -> Sequence[str]:
        statement = "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk"
        return [name for (name,) in self._connection.execute(statement, (table,))]

    def foreign_keys(self, table: str) -> Mapping[str, str]:
        statement = 'SELECT "from", "table" FROM pragma_foreign_key_list(?)'
        return dict(self._connection.execute(statement, (table,)))

    def rows(self, table: str, columns: Sequence[Column]) -> Iterable[Sequence[Any]]:
        names = ", ".join(_quoted(column.name) for column in columns)
        return self.query(f"SELECT {names} FROM {_quoted(table)}")  # noqa: S608 - quoted

    def query(self, statement: LiteralString) -> Iterable[Sequence[Any]]:
        return self._connection.execute(statement)

    def speller(self, column: Column, *, keep_order: bool) -> Speller:
        if column.kind == "json":
            return partial(spelling.document, keep_order=keep_order)
        return spelling.scalar


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


INSTANT: LiteralString = "'YYYY-MM-DD HH24:MI:SS.US'"
POSTGRESQL_FORMS: Mapping[str, LiteralString] = {
    "boolean": "{}::int",
    "bytea": "encode({}, 'hex')",
    "inet": "host({})",
    "interval": "(extract(epoch FROM {}) * 1000000)::bigint",
    "time without time zone": "replace(to_char({}, 'HH24:MI:SS.US'), '.000000', '')",
    "timestamp with time zone": f"replace(to_char({{}}, {INSTANT}), '.000000', '')",
    "timestamp without time zone": f"replace(to_char({{}}, {INSTANT}), '.000000', '')",
    "uuid": "replace({}::text, '-', '')",
}
"""What to select so that a value comes as Django would have written it in SQLite."""
POSTGRESQL_NUMBERS = frozenset(
    {"bigint", "boolean", "double precision", "integer", "interval", "numeric", "real", "smallint"}
)


class PostgreSQL(Database):
    """Every value is brought to its form by the server and fetched as text."""

    engine = "postgresql"

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def table_names(self) -> Iterable[str]:
        found = self.query("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return [name for (name,) in found]

    def columns(self, table: str) -> Iterable[Column]:
        statement = """
            SELECT column_name::text, data_type::text FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name = %s"""
        found = self._connection.execute(statement, (table,))
        return [Column(name=name, kind=kind) for name, kind in found]

    def primary_key(self, table: str) -> Sequence[str]:
        statement = """
            SELECT attname::text FROM pg_index
            JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
            WHERE indisprimary AND indrelid = %s::regclass
            ORDER BY array_position(indkey, attnum)"""
        return [name for (name,) in self._connection.execute(statement, (_quoted(table),))]

    def foreign_keys(self, table: str) -> Mapping[str, str]:
        statement = """
            SELECT attname::text, target.relname::text FROM pg_constraint
            JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
            JOIN pg_class AS target ON target.oid = confrelid
            WHERE contype = 'f' AND conrelid = %s::regclass"""
        return dict(self._connection.execute(statement, (_quoted(table),)))

    def rows(self, table: str, columns: Sequence[Column]) -> Iterable[Sequence[Any]]:
        forms = [
            sql.SQL("({})::text").format(
                sql.SQL(POSTGRESQL_FORMS.get(column.kind, "{}")).format(sql.Identifier(column.name))
            )
            for column in columns
        ]
        statement = sql.SQL("SELECT {} FROM {}")
        return self._connection.execute(
            statement.format(sql.SQL(", ").join(forms), sql.Identifier(table))
        )

    def query(self, statement: LiteralString) -> Iterable[Sequence[Any]]:
        return self._connection.execute(sql.SQL(statement))

    def speller(self, column: Column, *, keep_order: bool) -> Speller:
        if column.kind in ("json", "jsonb"):
            return partial(spelling.document, keep_order=keep_order)
        if column.kind == "bytea":
            return spelling.binary
        return spelling.number if column.kind in POSTGRESQL_NUMBERS else spelling.scalar

    def worn_counters(self) -> dict[str, int]:
        """Compare each sequence with the column that takes its default from it."""
        owned = """
            SELECT owner.relname::text, attname::text, counter.relname::text
            FROM pg_depend JOIN pg_class AS counter ON counter.oid = objid AND relkind = 'S'
            JOIN pg_class AS owner ON owner.oid = refobjid
            JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
            WHERE deptype IN ('a', 'i') AND owner.relnamespace = current_schema()::regnamespace"""
        keys = {table: self._keys(table, *names) for table, *names in list(self.query(owned))}
        return {
            table: following
            for table, (following, highest) in sorted(keys.items())
            if following <= highest
        }

    def _keys(self, table: str, column: str, sequence: str) -> tuple[int, int]:
        """The next key and the highest one there is."""
        statement = sql.SQL("""
            SELECT last_value + is_called::int, (SELECT coalesce(max({}), 0) FROM {}) FROM {}""")
        names = map(sql.Identifier, (column, table, sequence))
        ((following, highest),) = self._connection.execute(statement.format(*names))
        return following, highest


MARIADB_FORMS: Mapping[str, LiteralString] = {
    "binary": "lower(hex({}))",
    "blob": "lower(hex({}))",
    "longblob": "lower(hex({}))",
    "mediumblob": "lower(hex({}))",
    "datetime": "replace(cast({} AS char), '.000000', '')",
    "time": "replace(cast({} AS char), '.000000', '')",
    "uuid": "replace(cast({} AS char), '-', '')",
    "varbinary": "lower(hex({}))",
}
"""What to select so that a value comes as Django would have written it in SQLite."""
MARIADB_NUMBERS = frozenset(
    {"bigint", "decimal", "double", "float", "int", "mediumint", "smallint", "tinyint"}
)


class MariaDB(Database):
    """Every value is brought to its form by the server and fetched as text."""

    engine = "mariadb"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def _asked(self, statement: str, *parameters: str) -> Sequence[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return found

    def table_names(self) -> Iterable[str]:
        return [name for (name,) in self._asked("SHOW TABLES")]

    def columns(self, table: str) -> Iterable[Column]:
        statement = """
            SELECT column_name, data_type, EXISTS (
                SELECT 1 FROM information_schema.check_constraints AS rule
                WHERE rule.constraint_schema = database() AND rule.table_name = col.table_name
                AND check_clause = concat('json_valid(`', column_name, '`)'))
            FROM information_schema.columns AS col
            WHERE table_schema = database() AND table_name = %s"""
        found = self._asked(statement, table)
        return [Column(name=name, kind="json" if json else kind) for name, kind, json in found]

    def primary_key(self, table: str) -> Sequence[str]:
        statement = """
            SELECT column_name FROM information_schema.key_column_usage
            WHERE table_schema = database() AND table_name = %s AND constraint_name = 'PRIMARY'
            ORDER BY ordinal_position"""
        return [name for (name,) in self._asked(statement, table)]

    def foreign_keys(self, table: str) -> Mapping[str, str]:
        statement = """
            SELECT column_name, referenced_table_name FROM information_schema.key_column_usage
            WHERE table_schema = database() AND table_name = %s
            AND referenced_table_name IS NOT NULL"""
        return {column: target for column, target in self._asked(statement, table)}  # noqa: C416 - typed

    def rows(self, table: str, columns: Sequence[Column]) -> Iterable[Sequence[Any]]:
        names = ", ".join(
            f"cast({MARIADB_FORMS.get(column.kind, '{}').format(_backquoted(column.name))} AS char)"
            for column in columns
        )
        return self._asked(f"SELECT {names} FROM {_backquoted(table)}")  # noqa: S608 - quoted

    def query(self, statement: LiteralString) -> Iterable[Sequence[Any]]:
        return self._asked(statement)

    def speller(self, column: Column, *, keep_order: bool) -> Speller:
        if column.kind == "json":
            return partial(spelling.document, keep_order=keep_order)
        if column.kind.endswith(("binary", "blob")):
            return spelling.binary
        return spelling.number if column.kind in MARIADB_NUMBERS else spelling.scalar

    def worn_counters(self) -> dict[str, int]:
        """None: the server raises a counter whenever a higher key is written."""
        return {}


def _backquoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database by its URL: sqlite:///path, or a server's as in DATABASE_URL."""
    parts = urlsplit(url)
    match parts.scheme:
        case "sqlite":
            file = f"{Path(unquote(parts.path)).as_uri()}?mode=ro"
            with closing(sqlite3.connect(file, uri=True)) as connection:
                yield SQLite(connection)
        case "postgresql" | "postgres":
            options = "-c TimeZone=UTC -c DateStyle=ISO"
            with psycopg.connect(url, options=options) as connection:
                yield PostgreSQL(connection)
        case "mysql":
            with closing(mariadb.connected(url, autocommit=False)) as connection:
                yield MariaDB(connection)
        case _:
            raise ValueError(
                f"{parts.scheme} databases are not compared: SQLite, PostgreSQL and MariaDB are."
            )
