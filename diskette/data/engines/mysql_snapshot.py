"""MariaDB's and MySQL's instant: one transaction's. No server lets another connection join it.

So each `reading` shows an instant of its own, from its first statement to its end, and all
that is to show one instant must be read within one: the manifest's method, `transaction`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from django.db import connections, transaction

from diskette.core.manifest import Snapshot
from diskette.data.engines.instant import Instant, connected, twin


class MySQLInstant(Instant):
    is_shared = False

    def open(self, database: str, workspace: Path) -> Snapshot:  # noqa: ARG002
        at = datetime.now(UTC).isoformat()
        return Snapshot(
            database=database, engine="mysql", method="transaction", name="transaction", at=at
        )

    def begun(self, snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, at=datetime.now(UTC).isoformat())

    def close(self, snapshot: Snapshot, workspace: Path) -> None:
        """There is nothing to let go of: each reading ended with its transaction."""

    @contextmanager
    def reading(self, snapshot: Snapshot, workspace: Path) -> Iterator[str]:  # noqa: ARG002
        with connected(twin(snapshot)) as alias:
            with connections[alias].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with transaction.atomic(using=alias):
                with connections[alias].cursor() as cursor:
                    cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                yield alias
