"""A MariaDB that runs already, for no wheel carries one: its driver, connections, copies."""

from __future__ import annotations

import os
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

OF_THIS_MACHINE = "mysql://root@127.0.0.1:3306/"
DRIVERS = Path(__file__).parent / "drivers"
"""On the path of every process: what to do where mysqlclient could not be built."""


def find_driver() -> None:
    """Let this process and those it starts find one; once is enough."""
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if find_spec("MySQLdb") is None and str(DRIVERS) not in path:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(DRIVERS), *path]))
        runpy.run_path(str(DRIVERS / "sitecustomize.py"))


def connected(url: str, *, autocommit: bool = True) -> Any:
    """A connection of the driver's; the URL of a server alone will do."""
    import MySQLdb  # type: ignore[import-untyped,unused-ignore]

    parts = urlsplit(url)
    return MySQLdb.connect(
        host=parts.hostname or "",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.lstrip("/")) or "information_schema",
        charset="utf8mb4",
        autocommit=autocommit,
    )


def copy(cursor: Any, source: str, target: str) -> None:
    """Tables as they were made, foreign keys and counters among it, and their rows."""
    cursor.execute(f"USE {target}")
    cursor.execute("SET SESSION foreign_key_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    cursor.execute(f"SHOW TABLES FROM {source}")
    for (table,) in cursor.fetchall():
        cursor.execute(f"SHOW CREATE TABLE {source}.`{table}`")
        cursor.execute(cursor.fetchone()[1])
        cursor.execute(
            "SELECT group_concat(concat('`', column_name, '`') SEPARATOR ', ')"
            " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
            " AND extra NOT LIKE %s",
            [source, table, "%GENERATED%"],
        )
        ((names,),) = cursor.fetchall()
        cursor.execute(f"INSERT INTO `{table}` ({names}) SELECT {names} FROM {source}.`{table}`")  # noqa: S608 - Django's own names
