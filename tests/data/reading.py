"""How tests of what goes out of a database look at it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from django.apps import apps
from django.db import connections, models

from diskette.data.codec import ModelCodec, codec

BOTH = ("default", "postgresql")
"""The aliases of the test settings' databases: SQLite and PostgreSQL."""
ENGINES = (*BOTH, "mariadb")
"""And MariaDB, which may be missing."""
PRESENT = tuple(alias for alias in ENGINES if alias in connections.databases)


def stored_models(using: str) -> list[type[models.Model]]:
    """Every model with a table in this database that may be dumped."""
    vendor = connections[using].vendor
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and model._meta.app_label in ("auth", "library", "pglibrary", "pgextras")
        and model._meta.label != "auth.Permission"
        and model._meta.required_db_vendor in (None, vendor)
    ]


class Spelled(NamedTuple):
    line: bytes
    canonical: bytes


def spelled(chosen: ModelCodec) -> Iterator[Spelled]:
    """All rows of the codec's table."""
    for page in map(chosen.writer.spell, chosen.writer.pages()):
        yield from map(Spelled, page.lines, page.canonical)


def lines_of(model: type[models.Model], using: str, **options: bool) -> list[bytes]:
    return [line for line, _ in spelled(codec(model, using=using, **options))]


def fields_of(model: type[models.Model], using: str, **options: bool) -> list[dict[str, Any]]:
    """What stands under `fields`, row by row."""
    return [orjson.loads(line)["fields"] for line in lines_of(model, using, **options)]


def prepared(field: models.Field[Any, Any], value: Any, using: str) -> Any:
    """A value as the driver would get it, made comparable."""
    value = field.get_db_prep_save(value, connections[using])
    if hasattr(value, "obj"):  # psycopg's wrapper around JSON
        return value.obj
    if isinstance(value, memoryview):
        return bytes(value)
    return Decimal(value).normalize() if value and isinstance(field, models.DecimalField) else value
