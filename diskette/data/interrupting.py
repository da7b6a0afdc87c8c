"""Cutting short what a thread waits for at a database, from another thread.

A statement that takes an hour gives nobody a chance to look up from it: a step notices that it
must end between two statements, so what runs within one is interrupted at the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
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

    def note(self, connection: BaseDatabaseWrapper, **_: object) -> None:
        """A receiver of `connection_created`, which is sent in the thread that opens one."""
        is_new = all(each is not connection for each in self._connections)
        if is_new and threading.get_ident() == self._thread:
            self._connections.append(connection)

    def interrupt(self) -> None:
        """End what runs; what comes next runs as ever. For another thread than theirs."""
        for connection in tuple(self._connections):
            raw = connection.connection
            if raw is None:
                continue
            try:
                INTERRUPTERS[connection.vendor](connection, raw)
            except Exception as error:  # noqa: BLE001 - of a driver, of a connection just closed
                logger.warning("nothing was interrupted on %s: %s", connection.alias, error)


@contextmanager
def watched() -> Iterator[Statements]:
    """The statements of this thread, for as long as this lasts."""
    statements = Statements()
    connection_created.connect(statements.note, weak=False)
    try:
        yield statements
    finally:
        connection_created.disconnect(statements.note)


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
