"""Rows that share a problem, counted by the database, and some of them to be shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from diskette.core.report import JSON
from diskette.data import tables
from diskette.data.findings import SAMPLE, Sample
from diskette.data.kinds import AnyField


def sample(
    connection: BaseDatabaseWrapper,
    model: type[Model],
    of: AnyField,
    rows: str,
    *,
    parameters: Sequence[Any] = (),
    key: str = "",
) -> Sample | None:
    """How many rows `FROM … AS referring WHERE …` selects, and some of them; None: not one.

    The keys are values of the field, or of the expression `key`, which is JSON.
    """
    ((count,),) = query(connection, f"SELECT count(*) {rows}", parameters)
    if not count:
        return None
    column = key or f"referring.{connection.ops.quote_name(tables.column_name(of))}"
    chosen = f"SELECT DISTINCT {column} {rows} ORDER BY 1 LIMIT {SAMPLE}"
    keys = query(connection, chosen, parameters)
    shown = [json.loads(k) if key else tables.shown(of, k, connection) for (k,) in keys]
    objects = primary_keys(connection, model, rows, parameters)
    return Sample(count=int(count), keys=tuple(shown), objects=objects)


def primary_keys(
    connection: BaseDatabaseWrapper, model: type[Model], rows: str, parameters: Sequence[Any] = ()
) -> tuple[JSON, ...]:
    """Those of some of the rows that `FROM … AS referring WHERE …` selects."""
    fields = tables.key_fields(model)
    names = [connection.ops.quote_name(tables.column_name(field)) for field in fields]
    columns = ", ".join(f"referring.{name}" for name in names)
    places = ", ".join(str(place) for place in range(1, len(names) + 1))
    chosen = f"SELECT {columns} {rows} ORDER BY {places} LIMIT {SAMPLE}"
    return tuple(
        tables.shown_key(
            [
                tables.shown(field, value, connection)
                for field, value in zip(fields, row, strict=True)
            ]
        )
        for row in query(connection, chosen, parameters)
    )


def query(
    connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())
