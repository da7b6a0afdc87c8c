"""What a live table demands although its model does not say so: constraints made by hand.

Asked of the database's own catalogue. Indexes of some rows or of expressions, and SQLite's
checks, which it keeps as text only, are left to the database: they are told when it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from diskette.data import sampling, tables
from diskette.data.constraints import Check, Unique
from diskette.data.kinds import AnyField

UNIQUE = {
    "postgresql": """
        SELECT named.relname, attribute.attname
        FROM pg_index AS index
        JOIN pg_class AS named ON named.oid = index.indexrelid
        JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid
            AND attribute.attnum = ANY((index.indkey::int2[])[0:index.indnkeyatts - 1])
        WHERE index.indrelid = %s::regclass AND index.indisunique
            AND index.indpred IS NULL AND index.indexprs IS NULL
        ORDER BY 1, 2""",
    "sqlite": """
        SELECT list.name, info.name FROM pragma_index_list(%s) AS list
        JOIN pragma_index_info(list.name) AS info
        WHERE list."unique" AND NOT list.partial ORDER BY 1, 2""",
    "mysql": """
        SELECT index_name, CASE WHEN sub_part IS NULL THEN column_name END
        FROM information_schema.statistics
        WHERE table_schema = database() AND table_name = %s AND non_unique = 0 ORDER BY 1, 2""",
}
"""By vendor: the names of unique indexes with each of their columns, NULL for what is none."""

CHECKS = {
    "postgresql": """
        SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint
        WHERE conrelid = %s::regclass AND contype = 'c' AND conkey IS NOT NULL ORDER BY 1""",
    "mysql": """
        SELECT constraint_name, check_clause FROM information_schema.check_constraints
        WHERE constraint_schema = database() AND table_name = %s AND level = 'Table' ORDER BY 1""",
}
"""By vendor: names of checks and what they demand. MySQL's own catalogue knows no tables there."""


def unique(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Unique]:
    """Columns whose values the table holds unique, and no field or constraint of the model does."""
    fields = {tables.column_name(field): field for field in tables.stored_fields(model)}
    declared = set(_declared(model))
    for name, columns in _indexes(model, connection).items():
        if columns <= fields.keys() and columns not in declared:
            yield _unique(name, [fields[column] for column in sorted(columns)], connection)


def checks(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Check]:
    """Conditions that the table holds, and neither the model nor a field of it does."""
    if connection.vendor not in CHECKS or not _tells_checks(connection):
        return
    options = model._meta
    declared = {each.name for each in options.constraints}
    declared |= {f"{options.db_table}_{tables.column_name(f)}_check" for f in options.local_fields}
    for name, condition in _rows(CHECKS, model, connection):
        if name not in declared:
            yield Check(name=name, condition=f"({condition})")


def not_null(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[AnyField]:
    """Fields that may be null, in columns that may not."""
    fields = {tables.column_name(field): field for field in tables.stored_fields(model)}
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, model._meta.db_table)
    for column in columns:
        if not column.null_ok and column.name in fields and fields[column.name].null:
            yield fields[column.name]


def _tells_checks(connection: Any) -> bool:
    return connection.vendor != "mysql" or bool(connection.mysql_is_mariadb)


def _indexes(model: type[Model], connection: BaseDatabaseWrapper) -> dict[str, frozenset[str]]:
    found: dict[str, set[str | None]] = {}
    for name, column in _rows(UNIQUE, model, connection):
        found.setdefault(name, set()).add(column)
    return {
        name: frozenset(each for each in columns if each is not None)
        for name, columns in found.items()
        if None not in columns
    }


def _rows(
    statements: dict[str, str], model: type[Model], connection: BaseDatabaseWrapper
) -> Iterable[tuple[Any, ...]]:
    table = model._meta.db_table
    if connection.vendor == "postgresql":
        table = connection.ops.quote_name(table)
    return sampling.query(connection, statements[connection.vendor], [table])


def _declared(model: type[Model]) -> Iterator[frozenset[str]]:
    options = model._meta
    yield frozenset(tables.column_name(field) for field in tables.key_fields(model))
    names: list[tuple[str, ...]] = [
        (field.name,) for field in options.local_concrete_fields if field.unique
    ]
    names += [tuple(each) for each in options.unique_together]
    names += [tuple(getattr(each, "fields", ())) for each in options.constraints]
    for each in names:
        fields: list[Any] = [options.get_field(name) for name in each]
        yield frozenset(map(tables.column_name, fields))


def _unique(name: str, fields: list[AnyField], connection: BaseDatabaseWrapper) -> Unique:
    values = tuple(connection.ops.quote_name(tables.column_name(field)) for field in fields)
    named = ", ".join(field.name for field in fields)
    return Unique(
        name=f"{named} (by {name}, which no model declares)",
        values=values,
        fields=tuple(fields),
        conditions=tuple(f"{value} IS NOT NULL" for value in values),
    )
