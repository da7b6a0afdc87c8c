"""The servers of a test session: PostgreSQL and Redis, started where none is named; MariaDB.

`DISKETTE_TEST_POSTGRES` (postgresql://user:password@host:port/database) and
`DISKETTE_TEST_REDIS` (redis://host:port/0) name running ones. What is started here is
written to the same variables, so pytest-xdist's workers inherit it. There is no skipping:
a server that cannot be had is an error.

No wheel carries a MariaDB. `DISKETTE_TEST_MARIADB` (mysql://user:password@host:port/database)
names one; else the one of this machine is asked. Where none answers, its tests fail in CI
and are skipped elsewhere, with the reason.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from worker import mariadb
from worker.servers import PgBouncer, PostgreSQL, Redis, new_directory

POSTGRES = "DISKETTE_TEST_POSTGRES"
REDIS = "DISKETTE_TEST_REDIS"
MARIADB = "DISKETTE_TEST_MARIADB"
"""Empty: none answers."""
NO_MARIADB = (
    "no MariaDB answers at 127.0.0.1:3306: start one whose root has no password, or name one in "
    f"{MARIADB} (mysql://user:password@host:port/)"
)
DEFAULT = "DISKETTE_TEST_DEFAULT"
"""The alias in tests/settings.py that is to be the project's own database; SQLite if unset."""
DIRECTORY = "DISKETTE_TEST_DIRECTORY"
"""The session's own temporary directory."""
EXTRAS = "DISKETTE_TEST_POSTGRES_EXTRAS"
"""What this PostgreSQL can do beyond its core; the wheel's has neither contrib nor ICU."""


def prepare_session() -> None:
    """Start what is missing and write the environment that tests/settings.py reads."""
    mariadb.find_driver()
    if DIRECTORY not in os.environ:
        os.environ[DIRECTORY] = str(new_directory("diskette-tests-"))
    if POSTGRES not in os.environ:
        os.environ[POSTGRES] = PostgreSQL(directory=_new_directory("postgresql-")).start().url
    if EXTRAS not in os.environ:
        os.environ[EXTRAS] = " ".join(_extras())
    if REDIS not in os.environ:
        os.environ[REDIS] = Redis(directory=_new_directory("redis-")).start().url
    if MARIADB not in os.environ:
        os.environ[MARIADB] = mariadb.OF_THIS_MACHINE if _answers(mariadb.OF_THIS_MACHINE) else ""


def _extras() -> list[str]:
    statement = """
        SELECT name FROM pg_available_extensions
        UNION ALL SELECT DISTINCT 'icu' FROM pg_collation WHERE collprovider = 'i'
        ORDER BY 1"""
    with psycopg.connect(postgres_url()) as connection:
        return [name for (name,) in connection.execute(statement)]


def directory() -> Path:
    return Path(os.environ[DIRECTORY])


def _new_directory(prefix: str) -> Path:
    return new_directory(prefix, directory())


def postgres_url(database: str | None = None) -> str:
    """The session's PostgreSQL; with `database`, that one on the same server."""
    parts = urlsplit(os.environ[POSTGRES])
    return urlunsplit(parts if database is None else parts._replace(path=f"/{database}"))


def redis_url() -> str:
    return os.environ[REDIS]


def django_database(url: str) -> dict[str, object]:
    """The `DATABASES` entry of a URL: postgresql://..., mysql://... or sqlite:///path."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": unquote(parts.path)}
    engine = {"postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql"}[parts.scheme]
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


@contextmanager
def postgres_database(template: str | None = None) -> Iterator[str]:
    """A database of one's own, empty or a copy of `template`; yields its URL."""
    name = f"diskette_{uuid4().hex}"
    create_postgres_database(name, template)
    try:
        yield postgres_url(name)
    finally:
        drop_postgres_database(name)


def create_postgres_database(name: str, template: str | None = None) -> None:
    source = sql.Identifier(template or "template0")
    _administer(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))


def drop_postgres_database(name: str) -> None:
    """Drop it, whoever is still connected."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    _administer(statement.format(sql.Identifier(name)))


def _administer(statement: sql.Composed) -> None:
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        connection.execute(statement)


def mariadb_url(database: str = "") -> str:
    """The session's MariaDB; empty where there is none."""
    parts = urlsplit(os.environ.get(MARIADB, ""))
    return urlunsplit(parts._replace(path=f"/{database}")) if parts.netloc else ""


def require_mariadb() -> str:
    """Its URL; where there is none, the test fails in CI and is skipped elsewhere."""
    if not (url := mariadb_url()):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_MARIADB)
    return url


@contextmanager
def mariadb_database(template: str = "", *, collation: str = "utf8mb4_bin") -> Iterator[str]:
    """A database of one's own, empty or a copy of `template`; yields its URL."""
    url, name = require_mariadb(), f"diskette_{uuid4().hex}"
    with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE {collation}")
        try:
            if template:
                mariadb.copy(cursor, template, name)
                cursor.execute("USE information_schema")  # what it uses is not left by a run
            yield mariadb_url(name)
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def _answers(url: str) -> bool:
    import MySQLdb

    try:
        mariadb.connected(url).close()
    except MySQLdb.OperationalError:
        return False
    return True


@contextmanager
def private_redis(*, append_only: bool = False) -> Iterator[Redis]:
    """A Redis of one's own, to fill, kill, freeze and start again."""
    server = Redis(directory=_new_directory("redis-"), append_only=append_only)
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def private_postgres() -> Iterator[PostgreSQL]:
    """A PostgreSQL of one's own, to kill, freeze and start again."""
    server = PostgreSQL(directory=_new_directory("postgresql-"))
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """The database of `url` through a pooler in transaction mode; yields its other URL."""
    pooler = PgBouncer(
        directory=_new_directory("pgbouncer-"), program=program("pgbouncer"), behind=url
    )
    try:
        yield pooler.start().url
    finally:
        pooler.stop()


def program(name: str) -> str:
    """Where it lies, of what Debian has in a package of that name."""
    return shutil.which(name) or missing(f"{name} is not installed")


def missing(what: str) -> NoReturn:
    """A program that no wheel brings: on a bare machine its tests are skipped, never in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; in CI nothing is skipped")
    pytest.skip(what)
