"""Where a scratch database lies, per engine: made, found, told from a live one, dropped.

Names are made of a run's id and hexadecimal digits, so they are spliced into SQL as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from diskette import conf
from diskette.core.exceptions import ScratchRefused
from diskette.core.plan import ENDED
from diskette.data.engines.instant import connected
from diskette.models import Run

MARK = "diskette_scratch"
"""The table that says whose scratch it is."""
UNPROVEN = "?"
"""How a mark begins until no live database has shown it."""
CLAIM = "scratch-claimed"
"""In the workspace: that the run may have filled the database which the owner made."""
SIDE_FILES = ("", "-journal", "-wal", "-shm")


def prefix(run: str) -> str:
    """How the names of a run's scratch databases begin."""
    return f"{MARK}_{UUID(run).hex}_"


def alone(alias: str) -> BaseDatabaseWrapper:
    """A connection of its own to a configured database: of no pool, in no transaction."""
    connection = connections[alias].copy(f"{alias}@apart")
    connection.settings_dict["OPTIONS"].pop("pool", None)
    connection.settings_dict["AUTOCOMMIT"] = True
    return connection


def mark_of(connection: BaseDatabaseWrapper) -> str:
    """The database's mark; "" where it has none."""
    with connection.cursor() as cursor:
        if MARK not in connection.introspection.table_names(cursor):
            return ""
        cursor.execute(f"SELECT max(token) FROM {MARK}")
        (token,) = cursor.fetchone()
        return token or ""


class Place(ABC):
    """One scratch database, made or not."""

    def __init__(self, database: str, name: str, workspace: Path) -> None:
        self.database, self.name, self.workspace = database, name, workspace

    @abstractmethod
    def make(self) -> None:
        """Make it anew and empty, in place of any of that name."""

    @abstractmethod
    def drop(self) -> None:
        """Leave no trace, whatever there is."""

    def connection(self) -> BaseDatabaseWrapper:
        """Not yet opened."""
        connection = alone(self.database)
        connection.settings_dict["NAME"] = self.name
        return connection

    def prove(self, connection: BaseDatabaseWrapper) -> None:  # noqa: B027 - most need no proof
        """Raise ScratchRefused, before anything is written, where a pooler leads elsewhere."""

    def witnesses(self) -> list[str]:
        """The live databases that it might be; what was just made can be no other's."""
        return [self.database]


class File(Place):
    """SQLite's: a file of the workspace."""

    @property
    def path(self) -> Path:
        return self.workspace / f"{self.name}.sqlite3"

    def make(self) -> None:
        self.drop()
        self.path.touch(mode=0o600)

    def drop(self) -> None:
        for suffix in SIDE_FILES:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def connection(self) -> BaseDatabaseWrapper:
        connection = super().connection()
        connection.settings_dict["NAME"] = str(self.path)
        return connection


class OnServer(Place):
    """A database on the live one's server."""

    listing: str
    """Selects the names of the server's databases that begin as the parameter says."""
    dropping: str
    naming: str
    """Selects the name of the connection's database."""

    @abstractmethod
    def creation(self, cursor: Any) -> str:
        """The statement that makes one of the live database's kind."""

    def make(self) -> None:
        with connected(alone(self.database)) as alias, connections[alias].cursor() as cursor:
            cursor.execute(self.dropping.format(self.name))
            cursor.execute(self.creation(cursor))

    def drop(self) -> None:
        with connected(alone(self.database)) as alias, connections[alias].cursor() as cursor:
            cursor.execute(self.dropping.format(self.name))

    def drop_all(self) -> None:
        """Every one whose name begins with this one's."""
        with connected(alone(self.database)) as alias, connections[alias].cursor() as cursor:
            cursor.execute(self.listing, [self.name])
            for (name,) in cursor.fetchall():
                cursor.execute(self.dropping.format(name))

    def prove(self, connection: BaseDatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            cursor.execute(self.naming)
            (found,) = cursor.fetchone()
        if found != self.name:
            why = f"a connection to {self.name} leads to {found}: look at the pooler between"
            raise ScratchRefused(self.database, why)


class OnPostgreSQL(OnServer):
    listing = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    dropping = 'DROP DATABASE IF EXISTS "{}" WITH (FORCE)'
    naming = "SELECT current_database()"

    def creation(self, cursor: Any) -> str:
        cursor.execute(
            "SELECT format('ENCODING %L LC_COLLATE %L LC_CTYPE %L',"
            " pg_encoding_to_char(encoding), datcollate, datctype)"
            " FROM pg_database WHERE datname = current_database()"
        )
        (kind,) = cursor.fetchone()
        return f'CREATE DATABASE "{self.name}" TEMPLATE template0 {kind}'


class OnMySQL(OnServer):
    listing = (
        "SELECT schema_name FROM information_schema.schemata WHERE locate(%s, schema_name) = 1"
    )
    dropping = "DROP DATABASE IF EXISTS `{}`"
    naming = "SELECT database()"

    def creation(self, cursor: Any) -> str:
        cursor.execute("SELECT @@character_set_database, @@collation_database")
        charset, collation = cursor.fetchone()
        return f"CREATE DATABASE `{self.name}` CHARACTER SET {charset} COLLATE {collation}"


class Given(Place):
    """The one that `DISKETTE_SCRATCH_DATABASE` names: filled and emptied, for one run at a time."""

    def __init__(self, given: str, database: str, name: str, workspace: Path) -> None:
        super().__init__(database, name, workspace)
        self.given = given

    def connection(self) -> BaseDatabaseWrapper:
        return alone(self.given)

    def make(self) -> None:
        (self.workspace / CLAIM).touch(mode=0o600)
        with connected(self.connection()) as alias:
            connection = connections[alias]
            mark = mark_of(connection)
            called = f"{self.given!r}, DISKETTE_SCRATCH_DATABASE,"
            if mark and not self._is_free(mark):
                raise ScratchRefused(self.database, f"{called} is in use by run {_run_of(mark)}")
            _clear(connection, mark)
            if found := _relations(connection):
                first = " ".join(found[0])
                raise ScratchRefused(self.database, f"{called} is not empty: it has {first}")

    def _is_free(self, mark: str) -> bool:
        """Whether it is this very one, left by an earlier attempt, or a run's that has ended."""
        runs = Run.objects.using(conf.database()).filter(pk=_run_of(mark))
        return (
            mark.removeprefix(UNPROVEN).startswith(f"{self.name}:")
            or not runs.exclude(state__in=ENDED).exists()
        )

    def drop(self) -> None:
        """Only what bears this name, or one that begins so."""
        with connected(self.connection()) as alias:
            connection = connections[alias]
            mark = mark_of(connection)
            if mark.removeprefix(UNPROVEN).startswith(self.name):
                _clear(connection, mark)

    def witnesses(self) -> list[str]:
        vendor = connections[self.given].vendor
        return [each for each in conf.database_aliases() if connections[each].vendor == vendor]


ON_SERVER: Mapping[str, type[OnServer]] = {"postgresql": OnPostgreSQL, "mysql": OnMySQL}


def place(database: str, name: str, workspace: Path) -> Place:
    """Where the scratch database of that name lies. Raises ScratchRefused for other engines."""
    vendor, given = connections[database].vendor, conf.scratch_database()
    if vendor == "sqlite":
        return File(database, name, workspace)
    if vendor not in ON_SERVER:
        raise ScratchRefused(database, f"none can be made on {vendor}")
    if given is not None and connections[given].vendor == vendor:
        return Given(given, database, name, workspace)
    return ON_SERVER[vendor](database, name, workspace)


def drop_all(database: str, run: str, workspace: Path) -> None:
    """Every one of a run on that server, and in the owner's; files go with the workspace."""
    vendor, given = connections[database].vendor, conf.scratch_database()
    if vendor in ON_SERVER:
        ON_SERVER[vendor](database, prefix(run), workspace).drop_all()
    if given is not None and (workspace / CLAIM).exists():
        Given(given, database, prefix(run), workspace).drop()


def _run_of(mark: str) -> str:
    return str(UUID(mark.removeprefix(UNPROVEN).removeprefix(f"{MARK}_")[:32]))


RELATIONS: Mapping[str, str] = {
    "postgresql": """
        SELECT named.type, named.identity FROM pg_class AS relation
        JOIN pg_namespace AS place ON place.oid = relation.relnamespace,
        LATERAL pg_identify_object('pg_class'::regclass, relation.oid, 0) AS named
        WHERE relation.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
        AND place.nspname NOT LIKE 'pg\\_%' AND place.nspname <> 'information_schema'
        AND NOT EXISTS (
            SELECT FROM pg_depend WHERE objid = relation.oid AND deptype IN ('e', 'i', 'a')
            AND classid = 'pg_class'::regclass
        )
        ORDER BY relation.relname = 'diskette_scratch', 1, 2""",
    "mysql": """
        SELECT CASE table_type WHEN 'VIEW' THEN 'view' ELSE 'table' END,
        concat('`', replace(table_name, '`', '``'), '`') FROM information_schema.tables
        WHERE table_schema = database()
        ORDER BY table_name = 'diskette_scratch', 1, 2""",
}
"""Kind and quoted name of all that holds rows, but for parts of others; the mark comes last."""
SCHEMAS = r"SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname LIKE 'diskette\_%'"
"""Of stagings."""


def _relations(connection: BaseDatabaseWrapper) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(RELATIONS[connection.vendor])
        return list(cursor.fetchall())


def _clear(connection: BaseDatabaseWrapper, mark: str) -> None:
    """Empty what is proven to be ours; from what is not, take only the mark, if it has one."""
    is_postgresql = connection.vendor == "postgresql"
    found = _relations(connection) if mark and not mark.startswith(UNPROVEN) else []
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        if is_postgresql and found:
            cursor.execute(SCHEMAS)
            found = [*(("schema", name) for (name,) in cursor.fetchall()), *found]
        for kind, name in found:
            cursor.execute(f"DROP {kind} IF EXISTS {name}{' CASCADE' if is_postgresql else ''}")
        if mark:
            cursor.execute(f"DROP TABLE IF EXISTS {MARK}")
