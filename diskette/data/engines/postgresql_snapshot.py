"""PostgreSQL's instant: an exported snapshot, held by a process that outlives the worker.

A process of its own, because it needs no place in a worker's pool, blocks no task that
waits for it, and survives the worker's death: a snapshot lost with a worker would cost
every other worker its part. It ends when its lease, a file in the workspace, is removed.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from django.db import DataError, ProgrammingError, connections, transaction

from diskette.core.exceptions import DatabaseAway, SnapshotLost
from diskette.core.manifest import Snapshot
from diskette.data import sessions
from diskette.data.engines import snapshot_holder
from diskette.data.engines.instant import Instant, connected, twin

OPEN_SECONDS = 60
"""How long the holder may take to connect and answer."""
LIFETIME_SECONDS = 6 * 3600
"""An open snapshot keeps vacuum from cleaning: none lives longer, whatever happened to its run."""
PRIVATE = 0o600
PLAIN = str | int | float | None
"""Connection parameters of other types (cursor factories, adapters) are Django's own."""


class PostgreSQLInstant(Instant):
    def open(self, database: str, workspace: Path) -> Snapshot:
        lease = workspace / f"snapshot-{uuid4().hex}.lease"
        lease.touch(mode=PRIVATE)
        try:
            answer = _start_holder(database, lease)
            lease.rename(_lease(workspace, answer["name"]))
        except BaseException:
            lease.unlink(missing_ok=True)
            raise
        return Snapshot(
            database=database,
            engine="postgresql",
            method="exported",
            name=answer["name"],
            at=answer["at"],
        )

    def close(self, snapshot: Snapshot, workspace: Path) -> None:
        _lease(workspace, snapshot.name).unlink(missing_ok=True)

    @contextmanager
    def reading(self, snapshot: Snapshot, workspace: Path) -> Iterator[str]:
        connection = twin(snapshot)
        with connected(connection) as alias:
            connection.ensure_connection()
            with transaction.atomic(using=alias):
                _adopt(alias, snapshot)
                sessions.name_transaction(alias, sessions.name_of(workspace.name))
                yield alias


def _lease(workspace: Path, snapshot: str) -> Path:
    return workspace / f"snapshot-{snapshot}.lease"


def _adopt(alias: str, snapshot: Snapshot) -> None:
    """Make the transaction show the snapshot; must be its first statement."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute("SET TRANSACTION SNAPSHOT %s", [snapshot.name])
        except (DataError, ProgrammingError) as error:
            raise SnapshotLost(
                f"Database {snapshot.database!r} no longer has the snapshot of {snapshot.at} "
                f"({str(error).splitlines()[0]}): the server was restarted, or the process that "
                "held it was ended. Dump again."
            ) from error


def _start_holder(database: str, lease: Path) -> Mapping[str, str]:
    """Start the holder and wait for the snapshot's name."""
    name = sessions.name_of(lease.parent.name)
    request = {
        "connection": _parameters(database) | {"application_name": name},
        "lease": str(lease.absolute()),
        "lifetime_seconds": LIFETIME_SECONDS,
    }
    with subprocess.Popen(  # noqa: S603 - this interpreter and a file of ours
        [sys.executable, "-P", snapshot_holder.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ) as starter:
        assert starter.stdin  # noqa: S101 - tells the type checker
        assert starter.stdout  # noqa: S101 - the same
        with suppress(BrokenPipeError), starter.stdin as stdin:  # then there is no answer either
            stdin.write(json.dumps(request).encode())
        answer = _answer(starter.stdout)
    if "name" not in answer:
        raise DatabaseAway(
            f"Database {database!r} gave no snapshot: {answer['error'].splitlines()[0]}. Start it, "
            "or correct DATABASES."
        )
    return answer


def _answer(stream: IO[bytes]) -> Mapping[str, str]:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    if not poll.poll(OPEN_SECONDS * 1000):
        return {"error": f"no answer in {OPEN_SECONDS} seconds"}
    line = stream.readline()
    answer: dict[str, str] = json.loads(line or '{"error": "the process to hold it broke off"}')
    return answer


def _parameters(database: str) -> dict[str, Any]:
    parameters = connections[database].get_connection_params()
    return {name: value for name, value in parameters.items() if isinstance(value, PLAIN)}
