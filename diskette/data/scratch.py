"""A scratch database: empty, a run's own, beside a live one and never near it.

SQLite: a file of the workspace. PostgreSQL, MariaDB and MySQL: a database made on the same
server, or the one that `DISKETTE_SCRATCH_DATABASE` names, where the user may make none. It
bears a mark with a random word; that no live database shows the same word proves that it is
another one, whatever names, mirrors and poolers say. It is found again by its run, database
and key, from any process, until it is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error

from diskette.core.exceptions import DatabaseRefused, MigrationFailed, ScratchRefused
from diskette.core.report import JSON
from diskette.data import apart
from diskette.data.engines import scratch_places
from diskette.data.engines.instant import connected
from diskette.data.engines.scratch_places import (
    MARK,
    UNPROVEN,
    Place,
    alone,
    mark_of,
    prefix,
)
from diskette.data.stage import ENGINES

Tick = Callable[[int], None]
Target = tuple[str, str]
"""An application's label and the name of one of its migrations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    run: str
    """The run's id."""
    database: str
    """Alias of the live database that it stands beside."""
    workspace: Path
    """The directory where it lies, if it is a file, and what is told of it."""
    key: str = ""
    """What tells it from others of the same run beside the same database."""

    @property
    def name(self) -> str:
        """Of the database, on its server; 58 characters of the 63 that PostgreSQL allows."""
        digest = hashlib.sha256(f"{self.database}/{self.key}".encode()).hexdigest()
        return f"{prefix(self.run)}{digest[:8]}"

    @property
    def alias(self) -> str:
        """By which Django knows it, while it is connected."""
        return f"{self.database}@{self.name}"

    def create(self) -> None:
        """Make it anew, in place of what an earlier attempt left.

        Raises ScratchRefused where that is not allowed, or where it is no other database.
        """
        with self._explained():
            self._place.make()
        try:
            self._mark()
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Leave no trace. May be repeated."""
        with self._explained():
            self._place.drop()

    @contextmanager
    def connected(self) -> Iterator[str]:
        """The alias of a connection to it, known to this thread alone, closed afterwards."""
        with connected(self._connection()) as alias:
            self._reach(connections[alias])
            with self._explained():
                if not mark_of(connections[alias]).startswith(f"{self.name}:"):
                    raise ScratchRefused(self.database, "the one that was made is gone")
            yield alias

    def migrate(self, targets: Sequence[Target] | None, tick: Tick) -> None:
        """Run the project's migrations on it: up to the targets, or (None) all there are.

        In a process of its own, which knows it by the live database's alias, for routers to
        decide as ever, and can open no other: a migration of data may well forget to say
        which database it means. Raises MigrationFailed.
        """
        failed = self.apart("diskette.data.migrating:migrate", tick, targets=targets)
        if failed is not None:
            raise MigrationFailed(self.database, failed["migration"], failed["why"])

    def apart(self, function: str, tick: Tick, **arguments: JSON) -> JSON:
        """What the function `module:name` returns in a process that has this database alone."""
        return apart.run(
            function,
            {"database": self.database, **arguments},
            databases={self.database: self._connection().settings_dict},
            log=self.workspace / "apart.log",
            tick=tick,
        )

    @property
    def _place(self) -> Place:
        return scratch_places.place(self.database, self.name, self.workspace)

    def _connection(self) -> BaseDatabaseWrapper:
        """One of its own, not yet opened."""
        connection = self._place.connection()
        connection.alias = self.alias
        return connection

    def _mark(self) -> None:
        """Sign it, and prove by the signature that it is no live database."""
        token = f"{self.name}:{uuid4().hex}"
        with connected(self._connection()) as own:
            connection = connections[own]
            self._reach(connection)
            with self._explained(), connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLE {MARK} (token varchar(200) NOT NULL)")
                cursor.execute(f"INSERT INTO {MARK} (token) VALUES (%s)", [f"{UNPROVEN}{token}"])
            for alias in self._place.witnesses():
                if self._shows(alias, f"{UNPROVEN}{token}"):
                    why = f"what is made there appears in the live database {alias!r}"
                    raise ScratchRefused(self.database, why)
            with self._explained(), connection.cursor() as cursor:
                cursor.execute(f"UPDATE {MARK} SET token = %s", [token])

    def _reach(self, connection: BaseDatabaseWrapper) -> None:
        try:
            connection.ensure_connection()
        except Error as error:
            why = f"{self.name} cannot be reached: {str(error).strip().splitlines()[0]}"
            raise ScratchRefused(self.database, why) from error
        self._place.prove(connection)

    def _shows(self, alias: str, token: str) -> bool:
        try:
            with connected(alone(alias)) as apart_alias:
                return mark_of(connections[apart_alias]) == token
        except Error as error:
            why = f"the live database {alias!r} cannot be asked whether it is the same: {error}"
            raise ScratchRefused(self.database, why) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        engine = ENGINES[connections[self.database].vendor]()
        try:
            with engine(self.run, self.database, self.workspace).explained():
                yield
        except DatabaseRefused as error:
            raise ScratchRefused(self.database, error.why) from error


@contextmanager
def scratch(run: str, database: str, workspace: Path, key: str = "") -> Iterator[Scratch]:
    """A new one, for the time being."""
    made = Scratch(run=run, database=database, workspace=workspace, key=key)
    made.create()
    try:
        yield made
    finally:
        made.drop()
