"""The process that holds an exported snapshot of PostgreSQL; started by its path.

Reads one JSON object from stdin (`connection`: psycopg's parameters, `lease`: a file,
`lifetime_seconds`), writes one to stdout (`name` and `at`, or `error`), then holds the
snapshot until the lease is removed, the connection breaks or its lifetime is over. Secrets
come by stdin, so that neither arguments nor environment show them.

Imports psycopg and nothing of the project: it starts in a blink and stays small.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from datetime import UTC
from typing import Any

import psycopg

PING_SECONDS = 5.0
"""A server may end transactions that stay idle longer (`idle_in_transaction_session_timeout`)."""
WATCH_MILLISECONDS = 500
TRANSACTION_TIMEOUT_SINCE = 170000


def main() -> None:
    """Answer and hold, detached from whoever started it."""
    request = json.load(sys.stdin)
    if os.fork():
        os._exit(0)  # the starter need not wait for, nor ever reap, the process that goes on
    try:
        _hold(request)
    except (OSError, psycopg.Error) as error:
        _answer({"error": str(error).strip() or repr(error)})


def _hold(request: dict[str, Any]) -> None:
    lease = os.open(request["lease"], os.O_RDONLY)
    parameters = {**request["connection"], "prepare_threshold": None}
    with psycopg.connect(**parameters, autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        _answer(_export(connection))
        _keep(connection, lease, until=time.monotonic() + request["lifetime_seconds"])


def _export(connection: psycopg.Connection[Any]) -> dict[str, str]:
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    if connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
        connection.execute("SET LOCAL transaction_timeout = 0")
    row = connection.execute("SELECT pg_export_snapshot(), clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return {"name": row[0], "at": row[1].astimezone(UTC).isoformat()}


def _keep(connection: psycopg.Connection[Any], lease: int, *, until: float) -> None:
    """Ping now and then, until the lease has no name left or the server hangs up."""
    poll, pinged = select.poll(), time.monotonic()
    poll.register(connection.fileno(), select.POLLIN)
    while _has_name(lease) and time.monotonic() < until:
        if poll.poll(WATCH_MILLISECONDS) or time.monotonic() - pinged > PING_SECONDS:
            connection.execute("SELECT 1")
            pinged = time.monotonic()


def _has_name(descriptor: int) -> bool:
    """Whether the file is still in some directory; the workspace may be on another machine."""
    try:
        return os.fstat(descriptor).st_nlink > 0
    except OSError:
        return False


def _answer(shape: dict[str, str]) -> None:
    """The one line that is waited for; stdout is closed with it."""
    try:
        os.write(sys.stdout.fileno(), json.dumps(shape).encode() + b"\n")
    except OSError:  # nobody listens any more
        return
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, sys.stdout.fileno())


if __name__ == "__main__":
    main()
