"""What an ended run leaves must be nothing: looked at by SQL, in directories and in /proc.

Nothing of Diskette takes part.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from worker import mariadb
from worker.servers import await_condition
from worker.sites import Site

PATIENCE_SECONDS = 20.0
"""A server notices the end of a client late, and undoes its work then."""

Ask = Callable[[str], Sequence[Any]]
"""All rows that a query finds."""

OF_RUNS = {
    "locks": "SELECT count(*) FROM diskette_lock",
    "open runs": "SELECT count(*) FROM diskette_run WHERE finished_at IS NULL",
    "open steps": "SELECT count(*) FROM diskette_step WHERE finished_at IS NULL",
    "open results": "SELECT count(*) FROM django_celery_results_taskresult"
    " WHERE status NOT IN ('SUCCESS', 'FAILURE', 'REVOKED')",
}
OF_SERVERS: Mapping[str, Mapping[str, str]] = {
    "postgresql": {
        "staging schemas": "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'diskette%'",
        "connections": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    },
    "sqlite": {},
    "mysql": {
        "staged tables": "SELECT count(*) FROM information_schema.tables"
        " WHERE table_schema = database() AND table_name REGEXP '^diskette_[0-9a-f]{12}_'",
        "connections": "SELECT count(*) FROM information_schema.processlist"
        " WHERE db = database() AND id <> connection_id()",
    },
}


def assert_nothing_left(site: Site) -> None:
    """No lock, open run, step or result, staging, connection, process, workspace or half file.

    To be asked when the site's workers have ended.
    """
    left = leftovers(site)
    assert not left, left


def leftovers(site: Site, besides: Collection[int] = ()) -> list[str]:
    """The same as names of what is left after a while, `besides` the processes of these groups."""
    url = site.database_url
    looks = (lambda: files_left(site), lambda: processes_of(site, besides))
    return [*(name for look in looks for name in _after_a_while(look)), *rows_left(url)]


def _after_a_while(look: Callable[[], list[str]]) -> list[str]:
    is_clean = await_condition(lambda: not look(), seconds=PATIENCE_SECONDS)
    return [] if is_clean else look()


def files_left(site: Site) -> list[str]:
    """Workspaces, archives half made, trees staged or put aside."""
    found = [
        *(site.archives / ".diskette").glob("*"),
        *site.archives.glob(".*.partial"),
        *site.directory.glob(".*diskette*"),
        *(path for tree in site.trees for path in (site.directory / tree).rglob(".*diskette-*")),
    ]
    return [path.name for path in found]


def processes_of(site: Site, besides: Collection[int] = ()) -> list[str]:
    """Those that were started for the site, whoever is their parent now."""
    mark = f"DISKETTE_VAR={site.directory}".encode()
    return [
        f"process {process.name}: {_read(process / 'cmdline').replace(bytes(1), b' ').decode()}"
        for process in Path("/proc").glob("[0-9]*")
        if mark in _read(process / "environ").split(b"\0")
        and _group(int(process.name)) not in {None, *besides}
    ]


def _group(pid: int) -> int | None:
    """Of which process group it is; None: it has ended meanwhile."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _read(path: Path) -> bytes:
    """Nothing of a process that has ended meanwhile, or is another user's."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return b""


def rows_left(url: str) -> list[str]:
    """What runs left in a database, after a while."""
    queries = {**OF_RUNS, **OF_SERVERS[_engine(url)]}
    with connected(url) as ask:
        return _after_a_while(lambda: [name for name in queries if counted(ask, queries[name])])


def _engine(url: str) -> str:
    return {"postgres": "postgresql"}.get(scheme := urlsplit(url).scheme, scheme)


def counted(ask: Ask, query: str) -> int:
    """What a count(*) says, 0 while nobody may read."""
    try:
        ((count,),) = ask(query)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return 0
    return int(count)


@contextmanager
def connected(url: str) -> Iterator[Ask]:
    """Ask by a connection of the driver's own that waits for nobody and begins no transaction."""
    match _engine(url):
        case "sqlite":
            with closing(sqlite3.connect(urlsplit(url).path, timeout=0)) as file:
                yield lambda query: file.execute(query).fetchall()
        case "mysql":
            with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
                yield partial(_fetched, cursor)
        case _:
            with psycopg.connect(url, autocommit=True) as connection:
                yield lambda query: connection.execute(query).fetchall()


def _fetched(cursor: Any, query: str) -> Sequence[Any]:
    cursor.execute(query)
    found: Sequence[Any] = cursor.fetchall()
    return found
