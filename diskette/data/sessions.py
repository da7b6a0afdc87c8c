"""What a process that was taken for dead still holds on a server: named, limited, ended there.

A frozen process keeps its connections, and with them its locks. It cannot be asked to let go,
but the server can. Elsewhere than on PostgreSQL there is nothing to be asked: MariaDB and MySQL
give up waiting for a lock after a while, SQLite's locks end with the process.
"""

from __future__ import annotations

import re
from datetime import timedelta

from django.db import connections


def name_of(run: str) -> str:
    """What the sessions and the staging of a run are called."""
    return f"diskette_{re.sub('[^0-9a-z]', '', run.lower())}"


def let_go_when_idle(database: str, after: timedelta) -> None:
    """Have the server undo this transaction when nothing is asked of it for so long.

    For short ones, at their beginning, whose locks everybody waits for.
    """
    if connections[database].vendor == "postgresql":
        milliseconds = max(1, round(after.total_seconds() * 1000))
        with connections[database].cursor() as cursor:
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}")


def name_transaction(database: str, name: str) -> None:
    """Let the server show and find this transaction under a name, until its end."""
    with connections[database].cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, true)", [name])


def end_others(database: str, name: str) -> None:
    """End every other session of this user's whose transaction bears the name."""
    with connections[database].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
            " AND datname = current_database() AND usename = current_user"
            " AND pid <> pg_backend_pid()",
            [name],
        )
