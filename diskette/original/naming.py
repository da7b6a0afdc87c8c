"""The natural key of a fixture's row, asked of its model without the database.

A row that came without its primary key is known by this alone, also to its lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import ForeignKey, Model

from diskette.core.report import JSON
from diskette.data.codec import MISSING, DecodedRow
from diskette.data.kinds import Column


def natural_key(model: type[Model], columns: Iterable[Column], row: DecodedRow) -> list[JSON]:
    """As the project's own method says. Raises ValueError where it needs more than the row has."""
    known = {
        column.field.attname: 0 if column.column in row.natural else value
        for column, value in zip(columns, row.values, strict=True)
        if value is not MISSING
    }
    instance: Any = model.from_db(DEFAULT_DB_ALIAS, list(known), list(known.values()))
    instance.refresh_from_db = _refuse
    for field in (column.field for column in columns):
        if isinstance(field, ForeignKey) and (key := row.natural.get(str(field.column))):
            field.set_cached_value(instance, _stand_in(field, key))
    try:
        with connections[DEFAULT_DB_ALIAS].execute_wrapper(_refuse):
            return list(instance.natural_key())
    except Exception as error:  # a project's own method may raise whatever it likes
        why = f"{model._meta.label}.natural_key() needs more than the row has: {error}"
        raise ValueError(why) from error


def _stand_in(reference: ForeignKey[Any, Any], key: tuple[JSON, ...]) -> Any:
    """For a row of which nothing is known but its natural key."""
    target: Any = reference.remote_field.model
    row = target.__new__(target)
    row.natural_key = lambda: key
    return row


def _refuse(*_: Any, **__: Any) -> Any:
    raise LookupError("the database is not asked")
