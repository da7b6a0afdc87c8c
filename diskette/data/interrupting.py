"""Cutting short what a thread waits for at a database, from another thread.

A statement that takes an hour gives nobody a chance to look up from it: a step notices that it
must end between two statements, so what runs within one is interrupted at the database.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from diskette.core.logs import logger_of

logger = logger_of(__name__)

ASKED_SECONDS = 5.0
"""How long a server has for taking the request; it is repeated with the next heartbeat."""


class Statements:
    """Those of the thread that made this, on whatever connection it has or opens."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._connections = list(connections.all(initialized_only=True))
        self.files: list[sqlite3.Connection] = []
        """SQLite's that are not Django's."""

    def note(self, connection: BaseDatabaseWrapper, **_: object) -> None:
        """A receiver of `connection_created`, which is sent in the thread that opens one."""
        is_new = all(each is not connection for each in self._connections)
        if is_new and threading.get_ident() == self._thread:
            self._connections.append(connection)

    def interrupt(self) -> None:
        """End what runs; what comes next runs as ever. For another thread than theirs."""
        for file in tuple(self.files):
            _try(file.interrupt, "a file of SQLite's")
        for connection in tuple(self._connections):
            if (raw := connection.connection) is not None:
                act = partial(INTERRUPTERS[connection.vendor], connection, raw)
                _try(act, connection.alias)


def _try(act: Callable[[], None], what: str) -> None:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - of a driver, of a connection just closed
        logger.warning("nothing was interrupted on %s: %s", what, error)


_watched: ContextVar[Statements | None] = ContextVar("diskette_statements", default=None)


@contextmanager
def watched() -> Iterator[Statements]:
    """The statements of this thread, for as long as this lasts."""
    statements = Statements()
    before = _watched.set(statements)
    connection_created.connect(statements.note, weak=False)
    try:
        yield statements
    finally:
        connection_created.disconnect(statements.note)
        _watched.reset(before)


@contextmanager
def counted_in(file: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A connection that Django does not know, as one of those watched, until it is closed."""
    files = statements.files if (statements := _watched.get()) else []
    files.append(file)
    try:
        with closing(file):
            yield file
    finally:
        files.remove(file)


def _on_postgresql(_: BaseDatabaseWrapper, raw: Any) -> None:
    raw.cancel_safe(timeout=ASKED_SECONDS)


def _on_sqlite(_: BaseDatabaseWrapper, raw: Any) -> None:
    raw.interrupt()


def _on_mysql(connection: BaseDatabaseWrapper, raw: Any) -> None:
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute(f"KILL QUERY {raw.thread_id():d}")


INTERRUPTERS: dict[str, Callable[[BaseDatabaseWrapper, Any], None]] = {
    "postgresql": _on_postgresql,
    "sqlite": _on_sqlite,
    "mysql": _on_mysql,
}
