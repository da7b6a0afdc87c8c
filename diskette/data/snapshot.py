"""The database at one instant, for parts that are dumped by different processes.

PostgreSQL exports a snapshot that a detached process holds; SQLite is copied; MariaDB and
MySQL can only hold an instant within one connection, so there each `reading` has its own, and
all parts are dumped within one.
A snapshot belongs to a workspace: where that is gone, so is the snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connections

from diskette.core.exceptions import ConfigurationError
from diskette.core.manifest import Snapshot
from diskette.data import sessions
from diskette.data.engines.instant import Instant


def open_snapshot(database: str, workspace: Path) -> Snapshot:
    """Fix the instant that every part of a dump will show.

    Raises InsufficientSpace where a copy finds no room, DatabaseAway where none can be had.
    """
    return _instant_of(connections[database].vendor, database).open(database, workspace)


def close_snapshot(snapshot: Snapshot, workspace: Path) -> None:
    """Let the instant go. May be called again, and after the workspace is gone."""
    _instant_of(snapshot.engine, snapshot.database).close(snapshot, workspace)


def end_sessions(snapshot: Snapshot, workspace: Path) -> None:
    """End what holds or reads any snapshot of the workspace: a frozen process would for ever."""
    if snapshot.engine == "postgresql":
        sessions.end_others(snapshot.database, sessions.name_of(workspace.name))


@contextmanager
def reading(snapshot: Snapshot, workspace: Path) -> Iterator[str]:
    """A connection's alias on which all that is read shows that instant; this thread's own.

    Raises SnapshotLost where it can no longer be had.
    """
    with _instant_of(snapshot.engine, snapshot.database).reading(snapshot, workspace) as alias:
        yield alias


def is_shared(database: str) -> bool:
    """Whether readings of one snapshot show one instant, whichever process they are in."""
    return _instant_of(connections[database].vendor, database).is_shared


def begun(snapshot: Snapshot) -> Snapshot:
    """The snapshot as a reading that begins now shows it."""
    return _instant_of(snapshot.engine, snapshot.database).begun(snapshot)


def room_needed(database: str) -> int:
    """Bytes that `open_snapshot` will take in the workspace."""
    return _instant_of(connections[database].vendor, database).room_needed(database)


def _instant_of(engine: str, database: str) -> Instant:
    if engine == "sqlite":
        from diskette.data.engines.sqlite_snapshot import SQLiteInstant

        return SQLiteInstant()
    if engine == "postgresql":
        from diskette.data.engines.postgresql_snapshot import PostgreSQLInstant

        return PostgreSQLInstant()
    if engine == "mysql":
        from diskette.data.engines.mysql_snapshot import MySQLInstant

        return MySQLInstant()
    raise ConfigurationError(
        f"Database {database!r} is of a kind that Diskette does not read ({engine}): it knows "
        "PostgreSQL, SQLite and MariaDB/MySQL. Leave its models out of DISKETTE_APPS."
    )
