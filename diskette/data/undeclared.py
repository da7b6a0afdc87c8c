"""What a live table demands although its model does not say so: constraints made by hand.

Asked of the database's own catalogue. SQLite's checks, which it keeps as text only, and
exclusion constraints are left to the database: they are told when it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
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
    yield from _expressed(model, connection, set(fields))


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


def _expressed(
    model: type[Model], connection: BaseDatabaseWrapper, known: set[str]
) -> Iterator[Unique]:
    """Those of expressions or of some rows, where all that they name travels in an archive."""
    declared = {each.name for each in model._meta.constraints}
    left = {column.lower() for column in _columns(model, connection) - known}
    for name, condition, values in _expressions(model, connection):
        words = set(re.findall(r"\w+", " ".join((condition, *values)).lower()))
        if name not in declared and not words & left:
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
        rule, values = _taken_apart(*told[1]) if connection.vendor == "sqlite" else told
        if values and all(values):
            yield name, rule, values


PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--|/\*|.""", re.DOTALL)
ORDER = re.compile(r"\s+(?:ASC|DESC)\s*$", re.IGNORECASE)
WHERE = re.compile(r"\s*WHERE\b(.*)", re.IGNORECASE | re.DOTALL)


def _taken_apart(statement: str) -> tuple[str, tuple[str, ...]]:
    """Condition and values of SQLite's CREATE INDEX; none where a comment hides their ends.

    Source: https://sqlite.org/lang_createindex.html
    """
    pieces = PIECE.findall(statement)
    if "--" in pieces or "/*" in pieces:
        return "", ()
    values, depth = [""], 0
    for place, piece in enumerate(pieces):
        depth += (piece == "(") - (piece == ")")
        if piece == ")" and depth == 0:
            condition = WHERE.match("".join(pieces[place + 1 :]))
            told = (ORDER.sub("", value).strip() for value in values[1:])
            return condition[1].strip() if condition else "", tuple(told)
        if depth == 1 and piece in "(,":
            values.append("")
        else:
            values[-1] += piece
    return "", ()


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
