"""Databases to load into, one of each engine, that live as long as the session.

A load's transaction must be its own and is not rolled back, so no test case's transaction
can stand around it; and Django's flush would take a second for each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections, transaction

from tests.data.loading import drop_stagings
from tests.servers import django_database, mariadb_database, postgres_database

SQLITE, POSTGRESQL, MARIADB = "loaded_sqlite", "loaded_postgresql", "loaded_mariadb"
IDS = {SQLITE: "sqlite", POSTGRESQL: "postgresql", MARIADB: "mariadb"}
KEPT = (ContentType, Permission)
"""Migrations made them; a test that adds some takes them away itself."""


@pytest.fixture(scope="session")
def _migrated(django_db_blocker, tmp_path_factory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("databases") / "loaded.sqlite3"
    with ExitStack() as exits:
        exits.enter_context(django_db_blocker.unblock())
        exits.enter_context(_migrated_database(SQLITE, f"sqlite://{file}"))
        url = exits.enter_context(postgres_database())
        exits.enter_context(_migrated_database(POSTGRESQL, url))
        yield


@pytest.fixture(scope="session")
def _migrated_mariadb(django_db_blocker) -> Iterator[None]:
    """Apart: it may be missing, and takes longer than both others."""
    with django_db_blocker.unblock(), mariadb_database() as url, _migrated_database(MARIADB, url):
        yield


@contextmanager
def _migrated_database(alias: str, url: str) -> Iterator[None]:
    connections.databases[alias] = _configured(django_database(url))
    call_command("migrate", database=alias, verbosity=0)
    yield
    connections[alias].close()
    del connections[alias], connections.databases[alias]


def _configured(place: dict[str, object]) -> dict[str, object]:
    """With the defaults that Django gives to the databases of its settings."""
    return {**connections.databases["default"], "OPTIONS": {}, **place}


@pytest.fixture
def databases(_migrated, django_db_blocker) -> Iterator[tuple[str, str]]:
    """Both databases, migrated and otherwise empty, in autocommit as in a worker."""
    with django_db_blocker.unblock():
        yield SQLITE, POSTGRESQL
        for alias in (SQLITE, POSTGRESQL):
            drop_stagings(alias)
            clear(alias)


@pytest.fixture
def mariadb(_migrated_mariadb, django_db_blocker) -> Iterator[str]:
    """The same of MariaDB."""
    with django_db_blocker.unblock():
        yield MARIADB
        drop_stagings(MARIADB)
        clear(MARIADB)


@pytest.fixture(params=IDS, ids=IDS.values())
def using(request, databases, settings) -> str:
    """The database that a test loads into, which keeps Diskette's own rows as well."""
    if request.param == MARIADB:
        request.getfixturevalue("mariadb")
    settings.DISKETTE_DATABASE = request.param
    return request.param


def clear(alias: str) -> None:
    connection = connections[alias]
    with (
        connection.constraint_checks_disabled(),
        transaction.atomic(using=alias),
        connection.cursor() as cursor,
    ):
        tables = set(connection.introspection.table_names(cursor))
        for model in apps.get_models(include_auto_created=True):
            if model not in KEPT and model._meta.db_table in tables:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")
