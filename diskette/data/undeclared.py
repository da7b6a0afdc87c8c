"""What a live table demands although its model does not say so: constraints made by hand.

Asked of the database's own catalogue, of which SQLite's is the statements that made it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from diskette.data import sampling, tables
from diskette.data.constraints import Check, Unique
from diskette.data.engines import sqlite_statements
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

EXPRESSED = {
    "postgresql": """
        SELECT named.relname, pg_get_expr(index.indpred, index.indrelid),
            pg_get_indexdef(index.indexrelid, place, true)
        FROM pg_index AS index JOIN pg_class AS named ON named.oid = index.indexrelid
        CROSS JOIN LATERAL generate_series(1, index.indnkeyatts::int) AS place
        WHERE index.indrelid = %s::regclass AND index.indisunique
            AND (index.indpred IS NOT NULL OR index.indexprs IS NOT NULL)
        ORDER BY 1, place""",
    "sqlite": """
        SELECT list.name, NULL, made.sql FROM pragma_index_list(%s) AS list
        JOIN sqlite_master AS made ON made.type = 'index' AND made.name = list.name
        WHERE list."unique" AND made.sql IS NOT NULL AND (list.partial OR EXISTS (
            SELECT 1 FROM pragma_index_info(list.name) AS info WHERE info.name IS NULL))
        ORDER BY 1""",
    "mysql": """
        SELECT index_name, NULL, CASE WHEN sub_part IS NULL THEN concat('`', column_name, '`')
            ELSE concat('left(`', column_name, '`, ', sub_part, ')') END
        FROM information_schema.statistics AS part
        WHERE table_schema = database() AND table_name = %s AND non_unique = 0 AND EXISTS (
            SELECT 1 FROM information_schema.statistics AS other
            WHERE other.table_schema = part.table_schema AND other.table_name = part.table_name
                AND other.index_name = part.index_name AND other.sub_part IS NOT NULL)
        ORDER BY 1, seq_in_index""",
}
"""By vendor: unique indexes of expressions or of some rows: name, condition, one of its values.

SQLite tells the statement that made it instead. MySQL's indexes of expressions are left to it.
"""

CHECKS = {
    "postgresql": """
        SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint
        WHERE conrelid = %s::regclass AND contype = 'c' AND conkey IS NOT NULL ORDER BY 1""",
    "sqlite": """
        SELECT NULL, sql FROM sqlite_master WHERE type = 'table' AND name = %s COLLATE NOCASE""",
    "mysql": """
        SELECT constraint_name, check_clause FROM information_schema.check_constraints
        WHERE constraint_schema = database() AND table_name = %s ORDER BY 1""",
}
"""By vendor: names of checks and what they demand. MySQL's own catalogue knows no tables there.

SQLite tells the statement that made the table instead.
"""

REFERENCES = {
    "postgresql": """
        SELECT conname, parent.relname, child_column.attname, parent_column.attname
        FROM pg_constraint AS key JOIN pg_class AS parent ON parent.oid = confrelid
        CROSS JOIN LATERAL unnest(conkey, confkey) WITH ORDINALITY AS pair(mine, theirs, place)
        JOIN pg_attribute AS child_column
            ON child_column.attrelid = conrelid AND child_column.attnum = mine
        JOIN pg_attribute AS parent_column
            ON parent_column.attrelid = confrelid AND parent_column.attnum = theirs
        WHERE conrelid = %s::regclass AND contype = 'f' ORDER BY 1, place""",
    "sqlite": """
        SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(%s) ORDER BY id, seq""",
    "mysql": """
        SELECT constraint_name, referenced_table_name, column_name, referenced_column_name
        FROM information_schema.key_column_usage
        WHERE table_schema = database() AND referenced_table_schema = database()
            AND table_name = %s ORDER BY 1, ordinal_position""",
}
"""By vendor: name of a foreign key, its table, and each pair of its columns.

SQLite's have numbers for names, and NULL for a column of the primary key that was not named.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key that no field is."""

    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...]
    """The columns of `table` that `columns` name."""


def unique(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Unique]:
    """Columns whose values the table holds unique, and no field or constraint of the model does."""
    fields = {tables.column_name(field): field for field in tables.stored_fields(model)}
    declared = set(_declared(model))
    for name, columns in _indexes(model, connection).items():
        if columns <= fields.keys() and columns not in declared:
            yield _unique(name, [fields[column] for column in sorted(columns)], connection)
    yield from _expressed(model, connection)


def checks(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Check]:
    """Conditions that the table holds, and neither the model nor a field of it does."""
    options = model._meta
    declared = {each.name for each in options.constraints}
    declared |= {f"{options.db_table}_{tables.column_name(f)}_check" for f in options.local_fields}
    of_fields = {_bare(f.db_check(connection) or "") for f in options.local_concrete_fields}
    left, own = unknown_here(model, connection), _columns(model, connection)
    for name, condition in _conditions(model, connection):
        if name in declared or _bare(condition) in of_fields or words(condition) & left:
            continue
        # MariaDB names a column's check after the column, which says less than the condition.
        told = condition if name in own else name or condition
        yield Check(name=told, condition=f"({condition})")


def references(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Reference]:
    """Foreign keys of the table that no field declares, as far as their columns travel."""
    fields = {tables.column_name(field) for field in tables.stored_fields(model)}
    enforced = filter(tables.is_enforced, tables.references(model))
    declared = {(tables.column_name(field),) for field in enforced}
    rows = _rows(REFERENCES, model, connection)
    for (_, table), pairs in groupby(rows, itemgetter(0, 1)):
        columns, referred = zip(*(pair for _, _, *pair in pairs), strict=True)
        if set(columns) <= fields and columns not in declared and None not in referred:
            yield Reference(columns=columns, table=table, referred=referred)


def not_null(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[AnyField]:
    """Fields that may be null, in columns that may not."""
    fields = {tables.column_name(field): field for field in tables.stored_fields(model)}
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, model._meta.db_table)
    for column in columns:
        if not column.null_ok and column.name in fields and fields[column.name].null:
            yield fields[column.name]


def unknown_here(model: type[Model], connection: BaseDatabaseWrapper) -> set[str]:
    """Words that staged rows give no meaning: columns of no field, the live table's name."""
    fields = (*tables.stored_fields(model), *tables.generated_fields(model))
    known = {tables.column_name(field) for field in fields}
    unknown = {*_columns(model, connection), model._meta.db_table} - known
    return {word.lower() for word in unknown}


def words(condition: str) -> set[str]:
    return set(re.findall(r"\w+", condition.lower()))


def _expressed(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Unique]:
    """Those of expressions or of some rows, where all that they name travels in an archive."""
    declared = {each.name for each in model._meta.constraints}
    left = unknown_here(model, connection)
    for name, condition, values in _expressions(model, connection):
        if name not in declared and not words(" ".join((condition, *values))) & left:
            yield Unique(
                name=f"{', '.join(values)} (by {name}, which no model declares)",
                values=values,
                fields=(),
                conditions=(
                    *(f"({value}) IS NOT NULL" for value in values),
                    *([f"({condition})"] if condition else []),
                ),
            )


def _expressions(
    model: type[Model], connection: BaseDatabaseWrapper
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name, condition (empty: all rows) and values of each, as SQL."""
    for (name, condition), rows in groupby(_rows(EXPRESSED, model, connection), itemgetter(0, 1)):
        told = condition or "", tuple(value for _, _, value in rows)
        rule, values = sqlite_statements.index(*told[1]) if connection.vendor == "sqlite" else told
        if values and all(values):
            yield name, rule, values


def _conditions(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[tuple[str, str]]:
    """Name, where it has one, and condition of each check in the catalogue."""
    if not _tells_checks(connection):
        return
    for name, told in _rows(CHECKS, model, connection):
        if connection.vendor == "sqlite":
            yield from sqlite_statements.checks(told)
        else:
            yield name, told


def _bare(condition: str) -> str:
    return re.sub(r"[\s()]+", "", condition.lower())


def _columns(model: type[Model], connection: BaseDatabaseWrapper) -> set[str]:
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, model._meta.db_table)
    return {column.name for column in described}


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
