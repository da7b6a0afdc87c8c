"""SQLite's instant: a copy of the database in the workspace, made by `VACUUM INTO`.

Not by the online backup: under a steady writer that begins anew at each write and may
never end. The copy is made at one go, and a writer waits no longer than its timeout.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.text import slugify

from diskette.core.exceptions import InsufficientSpace, SnapshotLost
from diskette.core.manifest import Snapshot
from diskette.core.space import free
from diskette.data.engines.instant import Instant, connected, twin

PRIVATE = 0o600
DISK_FULL = "database or disk is full"


class SQLiteInstant(Instant):
    def open(self, database: str, workspace: Path) -> Snapshot:
        name = f"snapshot-{slugify(database)}-{uuid4().hex[:12]}.sqlite3"
        copy, partial = workspace / name, workspace / f"{name}.partial"
        partial.touch(mode=PRIVATE)
        try:
            at = datetime.now(UTC)
            self._copy(database, partial)
            partial.replace(copy)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return Snapshot(
            database=database, engine="sqlite", method="copy", name=name, at=at.isoformat()
        )

    def _copy(self, database: str, target: Path) -> None:
        try:
            with _source(database) as connection, connection.cursor() as cursor:
                cursor.execute("VACUUM INTO %s", [str(target)])
        except OperationalError as error:
            if DISK_FULL not in str(error):
                raise
            needed, room = self.room_needed(database), free(target.parent)
            why = f"a copy of database {database!r}"
            raise InsufficientSpace(str(target.parent), needed, room, why) from error

    def close(self, snapshot: Snapshot, workspace: Path) -> None:
        (workspace / snapshot.name).unlink(missing_ok=True)

    @contextmanager
    def reading(self, snapshot: Snapshot, workspace: Path) -> Iterator[str]:
        copy = workspace / snapshot.name
        if not copy.is_file():
            raise SnapshotLost(
                f"The copy of database {snapshot.database!r} is gone: {copy}. Dump again."
            )
        connection = twin(snapshot)
        connection.settings_dict["NAME"] = f"file:{quote(str(copy))}?mode=ro"
        connection.settings_dict["OPTIONS"].pop("init_command", None)  # it may want to write
        with connected(connection) as alias:
            connection.ensure_connection()  # the file stays readable, should its name go
            yield alias

    def room_needed(self, database: str) -> int:
        with connections[database].cursor() as cursor:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            return int(cursor.fetchone()[0])


@contextmanager
def _source(database: str) -> Iterator[BaseDatabaseWrapper]:
    """A connection that is in no transaction; a database in memory has only the one."""
    live = connections[database]
    if getattr(live, "is_in_memory_db", bool)():
        yield live
        return
    own = live.copy()
    try:
        yield own
    finally:
        own.close()
