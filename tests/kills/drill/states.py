"""What a database and a storage hold and what a run left: nothing of Diskette takes part."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks.checksums import BOOKKEEPING_PREFIXES, TableSums, losses
from benchmarks.engines import Engine
from tests.kills.drill.trees import Files
from worker import mariadb
from worker.servers import await_condition

ROLLBACK_SECONDS = 20.0
"""A server notices the end of a client late, and undoes its work then."""

COUNTERS = {
    "postgresql": "SELECT sequencename::text, last_value FROM pg_sequences",
    "sqlite": "SELECT name, seq FROM sqlite_sequence",
    "mariadb": "SELECT table_name, auto_increment FROM information_schema.tables"
    " WHERE table_schema = database() AND auto_increment IS NOT NULL",
}
LEFTOVERS = {
    "locks": "SELECT count(*) FROM diskette_lock",
    "open runs": "SELECT count(*) FROM diskette_run WHERE finished_at IS NULL",
    "open steps": "SELECT count(*) FROM diskette_step WHERE finished_at IS NULL",
}
OWN_LEFTOVERS = {
    "postgresql": {
        "staging schemas": "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'diskette%'",
        "connections": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    },
    "sqlite": {},
    "mariadb": {
        "staged tables": "SELECT count(*) FROM information_schema.tables"
        " WHERE table_schema = database() AND table_name REGEXP '^diskette_[0-9a-f]{12}_'",
        "connections": "SELECT count(*) FROM information_schema.processlist"
        " WHERE db = database() AND id <> connection_id()",
    },
}

Ask = Callable[[str], Sequence[Any]]
"""All rows that a query finds."""
Counters = Mapping[str, int | None]
NOWHERE: Counters = MappingProxyType({})


class Held(StrEnum):
    """Which of the two states a database holds, and the storage with it."""

    OLD = "old"
    NEW = "new"
    NEITHER = "NEITHER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Sums over each table's rows, where the counters of keys stand, and the storage's files."""

    tables: Mapping[str, TableSums]
    counters: Counters
    files: Files = field(default_factory=dict)

    def differences(self, other: Picture, highest: Counters = NOWHERE) -> list[str]:
        """What tells `other` from it; its counters may stand higher, up to where `highest` says."""
        moved = dict(self.counters.items() ^ other.counters.items())
        told = [
            f"counter {name}"
            for name in sorted(moved)
            if not _is_between(self.counters.get(name), other.counters.get(name), highest.get(name))
        ]
        files = {path for path, _ in self.files.items() ^ other.files.items()}
        told += [f"{len(files)} files ({min(files)}…)"] if files else []
        return [*losses(self.tables, other.tables), *told]


def _is_between(lowest: int | None, at: int | None, highest: int | None) -> bool:
    if lowest is None or at is None or highest is None:
        return False
    return lowest <= at <= highest


def highest_counters(pictures: Iterable[Picture]) -> Counters:
    """The highest that each stands at in any of them."""
    found: dict[str, int | None] = {}
    for each in pictures:
        for name, at in each.counters.items():
            found[name] = max(filter(None, (at, found.get(name))), default=None)
    return found


def picture(engine: Engine, url: str) -> Picture:
    with connected(url) as ask:
        counters = dict(ask(COUNTERS[engine.name]))
    own = {name: at for name, at in counters.items() if not name.startswith(BOOKKEEPING_PREFIXES)}
    return Picture(tables=engine.checksums(url), counters=own)


def leftovers(engine: Engine, url: str) -> list[str]:
    """What an ended run should have cleared in the database."""
    queries = LEFTOVERS | OWN_LEFTOVERS[engine.name]
    with connected(url) as ask:
        await_condition(lambda: not _found(ask, queries), seconds=ROLLBACK_SECONDS)
        return _found(ask, queries)


def _found(ask: Ask, queries: Mapping[str, str]) -> list[str]:
    return [name for name, query in queries.items() if counted(ask, query)]


def counted(ask: Ask, query: str) -> int:
    """What a count(*) says, 0 while nobody may read."""
    try:
        ((count,),) = ask(query)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return 0
    return int(count)


def _fetched(cursor: Any, query: str) -> Sequence[Any]:
    cursor.execute(query)
    found: Sequence[Any] = cursor.fetchall()
    return found


@contextmanager
def connected(url: str) -> Iterator[Ask]:
    """Ask by a connection of the driver's own that waits for nobody and begins no transaction."""
    match urlsplit(url).scheme:
        case "sqlite":
            with closing(sqlite3.connect(urlsplit(url).path, timeout=0)) as file:
                yield lambda query: file.execute(query).fetchall()
        case "mysql":
            with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
                yield partial(_fetched, cursor)
        case _:
            with psycopg.connect(url, autocommit=True) as connection:
                yield lambda query: connection.execute(query).fetchall()
