"""What a database holds and what a run left, in plain SQL: nothing of Diskette takes part."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks.checksums import BOOKKEEPING_PREFIXES, TableSums, losses
from benchmarks.engines import Engine, SQLiteEngine
from worker.servers import await_condition

ROLLBACK_SECONDS = 20.0
"""A server notices the end of a client late, and undoes its work then."""

COUNTERS = {
    "postgresql": "SELECT sequencename::text, last_value FROM pg_sequences",
    "sqlite": "SELECT name, seq FROM sqlite_sequence",
}
LEFTOVERS = {
    "locks": "SELECT count(*) FROM diskette_lock",
    "open runs": "SELECT count(*) FROM diskette_run WHERE finished_at IS NULL",
    "open steps": "SELECT count(*) FROM diskette_step WHERE finished_at IS NULL",
}
LEFTOVERS_OF_POSTGRESQL = {
    "staging schemas": "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'diskette%'",
    "connections": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
}


class Held(StrEnum):
    """Which of the two states a database holds."""

    OLD = "old"
    NEW = "new"
    NEITHER = "NEITHER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Sums over each table's rows, and where the counters of keys stand."""

    tables: Mapping[str, TableSums]
    counters: Mapping[str, int | None]

    def differences(self, other: Picture) -> list[str]:
        moved = dict(self.counters.items() ^ other.counters.items())
        return [*losses(self.tables, other.tables), *(f"counter {name}" for name in sorted(moved))]


def picture(engine: Engine, url: str) -> Picture:
    with connected(url) as connection:
        counters = dict(connection.execute(COUNTERS[engine.name]).fetchall())
    own = {name: at for name, at in counters.items() if not name.startswith(BOOKKEEPING_PREFIXES)}
    return Picture(tables=engine.checksums(url), counters=own)


def leftovers(engine: Engine, url: str) -> list[str]:
    """What an ended run should have cleared in the database."""
    queries = LEFTOVERS if engine.name == SQLiteEngine.name else LEFTOVERS | LEFTOVERS_OF_POSTGRESQL
    with connected(url) as connection:
        await_condition(lambda: not _found(connection, queries), seconds=ROLLBACK_SECONDS)
        return _found(connection, queries)


def _found(connection: Any, queries: Mapping[str, str]) -> list[str]:
    return [name for name, query in queries.items() if counted(connection, query)]


def counted(connection: Any, query: str) -> int:
    """What a count(*) says, 0 while nobody may read."""
    try:
        ((count,),) = connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return 0
    return int(count)


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """A connection of the driver's own that waits for nobody and begins no transaction."""
    if url.startswith(SQLiteEngine.name):
        with closing(sqlite3.connect(urlsplit(url).path, timeout=0)) as file:
            yield file
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
