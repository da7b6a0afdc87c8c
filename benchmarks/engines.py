"""Databases to dump from and to load into."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from benchmarks.checksums import (
    TableSums,
    mariadb_checksums,
    postgresql_checksums,
    sqlite_checksums,
)
from worker import mariadb
from worker.servers import PostgreSQL, postgresql_programs

POSTGRES = "BENCHMARK_POSTGRES"
"""postgresql://user:password@host:port/database of a running server to use instead."""
MARIADB = "BENCHMARK_MARIADB"
"""mysql://user:password@host:port/ of a running server; else the one of this machine."""
SETTLE_SECONDS = 0.1


class Target(StrEnum):
    """How a database is that something is loaded into."""

    MIGRATED = "migrated"
    EMPTIED = "emptied"
    """Migrated, then without a single row: for tools that bring the content types too."""
    EMPTY = "empty"


@dataclass(kw_only=True)
class Engine(ABC):
    name: ClassVar[str]
    counters_may_stay_higher: ClassVar[bool] = False
    """Those of keys, after a transaction that was rolled back."""
    made: set[str] = field(default_factory=set)

    @abstractmethod
    def create(self, name: str, template: str | None = None) -> str:
        """A new database, empty or a copy of another one's; its URL."""

    @abstractmethod
    def drop(self, name: str) -> None: ...

    @abstractmethod
    def empty(self, name: str) -> None:
        """Remove every row."""

    @abstractmethod
    def checksums(self, url: str) -> dict[str, TableSums]: ...

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def settle(self) -> None:
        """Finish what earlier work left to do in the background."""

    def server_cpu_seconds(self) -> float | None:
        """What the server's processes have taken so far; None: there is none to look at."""
        return None

    @property
    def variables(self) -> Mapping[str, str]:
        """What a tool needs in its environment to use the engine's programs."""
        return {}

    def clear(self) -> None:
        """Drop what was made: the server is another's."""
        for name in self.made:
            self.drop(name)

    def target(self, target: Target) -> str:
        """A fresh database in place of the last one."""
        self.drop("target")
        return self.create("target", None if target is Target.EMPTY else target.value)


@dataclass(kw_only=True)
class PostgreSQLEngine(Engine):
    name = "postgresql"
    url: str
    programs: Path | None
    """Where pg_dump lies; None: on the machine's own path."""
    server: PostgreSQL | None = None

    def create(self, name: str, template: str | None = None) -> str:
        source = sql.Identifier(_named(template) if template else "template0")
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(_named(name)), source)
        )
        self.made.add(name)
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{_named(name)}"))

    def drop(self, name: str) -> None:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._execute(statement.format(sql.Identifier(_named(name))))

    def empty(self, name: str) -> None:
        url = urlunsplit(urlsplit(self.url)._replace(path=f"/{_named(name)}"))
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname='public'")
            tables = sql.SQL(", ").join(sql.Identifier(table) for (table,) in found)
            connection.execute(sql.SQL("TRUNCATE {}").format(tables))

    def checksums(self, url: str) -> dict[str, TableSums]:
        with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
            return postgresql_checksums(connection)

    def version(self) -> str:
        with psycopg.connect(self.url) as connection:
            ((version,),) = connection.execute("SHOW server_version").fetchall()
            ((fsync,),) = connection.execute("SHOW fsync").fetchall()
        return f"PostgreSQL {version}, fsync {fsync}"

    def settle(self) -> None:
        self._execute(sql.SQL("CHECKPOINT"))

    def server_cpu_seconds(self) -> float | None:
        """Of the server and its ended backends; the postmaster waits for each of them."""
        if self.server is None or self.server.process is None:
            return None
        time.sleep(SETTLE_SECONDS)
        after_name = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2]
        return sum(map(int, after_name.split()[11:15])) / os.sysconf("SC_CLK_TCK")

    @property
    def variables(self) -> Mapping[str, str]:
        if self.programs is None:
            return {}
        return {"PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}"}

    def _execute(self, statement: sql.Composable) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.as_string(connection).encode())


def _named(name: str) -> str:
    return f"diskette_benchmark_{name}"


@dataclass(kw_only=True)
class MariaDBEngine(Engine):
    """On a server that others use as well, so databases have names that nobody else has."""

    name = "mariadb"
    counters_may_stay_higher = True
    url: str
    mark: str = field(default_factory=lambda: uuid4().hex[:8])

    def create(self, name: str, template: str | None = None) -> str:
        with self._cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self._named(name)} CHARACTER SET utf8mb4")
            self.made.add(name)
            if template:
                mariadb.copy(cursor, self._named(template), self._named(name))
        return self._url(name)

    def drop(self, name: str) -> None:
        with self._cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {self._named(name)}")

    def empty(self, name: str) -> None:
        with self._cursor(name) as cursor:
            cursor.execute("SET SESSION foreign_key_checks = 0")
            cursor.execute("SHOW TABLES")
            for (table,) in cursor.fetchall():
                cursor.execute(f"TRUNCATE `{table}`")

    def checksums(self, url: str) -> dict[str, TableSums]:
        with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
            return mariadb_checksums(cursor)

    def version(self) -> str:
        flushing = "innodb_flush_log_at_trx_commit"
        with self._cursor() as cursor:
            cursor.execute(f"SELECT version(), @@{flushing}")
            ((version, flushed),) = cursor.fetchall()
        return f"MariaDB {version.partition('-')[0]}, {flushing} {flushed}"

    def settle(self) -> None:
        """There is no statement that waits for it."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The password, which no command line should show."""
        return {"MYSQL_PWD": unquote(urlsplit(self.url).password or "")}

    def _named(self, name: str) -> str:
        return _named(f"{self.mark}_{name}")

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{self._named(name)}"))

    @contextmanager
    def _cursor(self, name: str | None = None) -> Iterator[Any]:
        url = self._url(name) if name else urlunsplit(urlsplit(self.url)._replace(path="/"))
        with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
            yield cursor


@dataclass(kw_only=True)
class SQLiteEngine(Engine):
    name = "sqlite"
    directory: Path

    def create(self, name: str, template: str | None = None) -> str:
        path = self._path(name)
        if template:
            shutil.copyfile(self._path(template), path)
        return f"sqlite://{path}"

    def drop(self, name: str) -> None:
        for path in self.directory.glob(f"{name}.sqlite3*"):
            path.unlink()

    def empty(self, name: str) -> None:
        with closing(sqlite3.connect(self._path(name))) as connection, connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'"):
                connection.execute(f'DELETE FROM "{table}"')  # noqa: S608 - Django's own names

    def checksums(self, url: str) -> dict[str, TableSums]:
        with closing(sqlite3.connect(urlsplit(url).path)) as connection:
            return sqlite_checksums(connection)

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def settle(self) -> None:
        """Nothing goes on where no process is."""

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.sqlite3"


@contextmanager
def opened(name: str, directory: Path) -> Iterator[Engine]:
    """An engine by its name, with a server of its own where it needs one and none is named."""
    if name == SQLiteEngine.name:
        yield SQLiteEngine(directory=directory)
    elif name == MariaDBEngine.name:
        mariadb.find_driver()
        server_url = os.environ.get(MARIADB, mariadb.OF_THIS_MACHINE)
        with cleared(MariaDBEngine(url=server_url)) as engine:
            yield engine
    elif name != PostgreSQLEngine.name:
        raise ValueError(f"No engine {name}: there are postgresql, sqlite and mariadb.")
    elif url := os.environ.get(POSTGRES):
        with cleared(PostgreSQLEngine(url=url, programs=None)) as engine:
            yield engine
    else:
        server = PostgreSQL(directory=directory, durable=True).start()
        try:
            yield PostgreSQLEngine(url=server.url, programs=postgresql_programs(), server=server)
        finally:
            server.stop()


@contextmanager
def cleared(engine: Engine) -> Iterator[Engine]:
    """On a server of another's, which is left as it was found."""
    try:
        yield engine
    finally:
        engine.clear()
