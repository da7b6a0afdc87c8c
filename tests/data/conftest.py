"""Databases to load into, one of each engine, that live as long as the session.

A load's transaction must be its own and is not rolled back, so no test case's transaction
can stand around it; and Django's flush would take a second for each test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections, transaction

from tests.data.loading import drop_stagings
from tests.servers import django_database, postgres_database

SQLITE, POSTGRESQL = "loaded_sqlite", "loaded_postgresql"
KEPT = (ContentType, Permission)
"""Migrations made them; a test that adds some takes them away itself."""


@pytest.fixture(scope="session")
def _migrated(django_db_blocker, tmp_path_factory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("databases") / "loaded.sqlite3"
    with django_db_blocker.unblock(), postgres_database() as url:
        for alias, place in ((SQLITE, f"sqlite://{file}"), (POSTGRESQL, url)):
            connections.databases[alias] = _configured(django_database(place))
            call_command("migrate", database=alias, verbosity=0)
        yield
        for alias in (SQLITE, POSTGRESQL):
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


@pytest.fixture(params=[SQLITE, POSTGRESQL], ids=["sqlite", "postgresql"])
def using(request, databases, settings) -> str:
    """The database that a test loads into, which keeps Diskette's own rows as well."""
    settings.DISKETTE_DATABASE = request.param
    return request.param


def clear(alias: str) -> None:
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for model in apps.get_models(include_auto_created=True):
            if model not in KEPT and model._meta.db_table in tables:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")
