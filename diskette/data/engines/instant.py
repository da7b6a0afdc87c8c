"""What each engine must do to show a database at one instant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from diskette.core.manifest import Snapshot


class Instant(ABC):
    """Opens, reads and closes snapshots of one kind of database."""

    is_shared = True
    """Whether several readings show one instant; else only what one of them reads does."""

    @abstractmethod
    def open(self, database: str, workspace: Path) -> Snapshot:
        """Fix the instant."""

    @abstractmethod
    def close(self, snapshot: Snapshot, workspace: Path) -> None:
        """Let it go, if it is still there."""

    @abstractmethod
    def reading(self, snapshot: Snapshot, workspace: Path) -> AbstractContextManager[str]:
        """The alias of a connection that shows it."""

    def begun(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot as a reading that begins now shows it."""
        return snapshot

    def room_needed(self, database: str) -> int:  # noqa: ARG002 - most engines copy nothing
        """Bytes taken in the workspace by `open`."""
        return 0


@contextmanager
def connected(connection: BaseDatabaseWrapper) -> Iterator[str]:
    """Let this thread know a connection by its alias for a while, then close it."""
    connections[connection.alias] = connection
    try:
        yield connection.alias
    finally:
        connection.close()
        del connections[connection.alias]


def twin(snapshot: Snapshot) -> BaseDatabaseWrapper:
    """A connection of its own to the snapshot's database, not yet opened."""
    connection = connections[snapshot.database].copy(f"{snapshot.database}@{snapshot.name}")
    connection.settings_dict["OPTIONS"].pop("pool", None)
    return connection
