"""Whether two databases of one engine hold the same rows, by a sum over each table's rows.

Plain SQL; neither Django's models nor anything of a tool takes part.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import psycopg
from psycopg import sql

BOOKKEEPING_PREFIXES = ("django_migrations", "diskette_", "django_celery_results_", "sqlite_")
LINK_COLUMNS = 3
"""An automatic many-to-many table has a key and the two it links."""
MILLISECONDS_LETTERS = len("2026-11-22 10:20:30.123")

MARIADB_FORMS = {"json": "json_normalize(`{}`)"}
"""JSON without the freedom of spelling it has."""

MICROSECONDS = "microseconds lost"
LINK_KEYS = "keys of links changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSums:
    """A table's number of rows, and sums that do not depend on their order."""

    rows: int
    exact: int
    rough: int
    """Without what a tool is known to lose: `loss` says what."""
    loss: str


def losses(source: Mapping[str, TableSums], loaded: Mapping[str, TableSums]) -> list[str]:
    """What a tool did not bring over, known losses by their names; empty: nothing."""
    changed = [table for table in source if source[table] != loaded.get(table)]
    return sorted({_loss(table, source[table], loaded.get(table)) for table in changed})


def _loss(table: str, source: TableSums, loaded: TableSums | None) -> str:
    if loaded and (source.rows, source.rough) == (loaded.rows, loaded.rough):
        return source.loss
    count = f"{loaded.rows} of {source.rows} rows" if loaded else "missing"
    return f"{table} differs: {count}"


def postgresql_checksums(connection: psycopg.Connection) -> dict[str, TableSums]:
    found = connection.execute("""
        SELECT table_name::text, array_agg(column_name::text ORDER BY column_name),
            array_agg(data_type::text ORDER BY column_name)
        FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' GROUP BY table_name""")
    return {
        table: _postgresql_sums(connection, table, dict(zip(columns, kinds, strict=True)))
        for table, columns, kinds in found.fetchall()
        if not table.startswith(BOOKKEEPING_PREFIXES)
    }


def _postgresql_sums(
    connection: psycopg.Connection, table: str, columns: Mapping[str, str]
) -> TableSums:
    link = is_link(columns)
    rough = [
        sql.SQL("date_trunc('milliseconds', {})" if kind.startswith("time") else "{}").format(
            sql.Identifier(name)
        )
        for name, kind in columns.items()
        if not (link and name == "id")
    ]
    each = sql.SQL("coalesce(sum(hashtextextended(ROW({})::text, 0)), 0)::text")
    statement = sql.SQL("SELECT count(*), {}, {} FROM {}").format(
        each.format(sql.SQL(", ").join(map(sql.Identifier, columns))),
        each.format(sql.SQL(", ").join(rough)),
        sql.Identifier(table),
    )
    ((rows, exact, loose),) = connection.execute(statement).fetchall()
    return TableSums(rows=rows, exact=int(exact), rough=int(loose), loss=_known_loss(link=link))


def sqlite_checksums(connection: sqlite3.Connection) -> dict[str, TableSums]:
    found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
    return {
        table: _sqlite_sums(connection, table, definition)
        for table, definition in found.fetchall()
        if not table.startswith(BOOKKEEPING_PREFIXES)
    }


def _sqlite_sums(connection: sqlite3.Connection, table: str, definition: str) -> TableSums:
    columns: dict[str, str] = dict(
        sorted(connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)))
    )
    documents = {name for name in columns if f'JSON_VALID("{name}")' in definition}
    link = is_link(columns)
    exact = [_document if name in documents else _same for name in columns]
    rough = [
        _milliseconds if columns[name] == "datetime" else spell
        for name, spell in zip(columns, exact, strict=True)
    ]
    names = ", ".join(f'"{name}"' for name in columns)
    skipped = list(columns).index("id") if link else None
    count = total = loose = 0
    for row in connection.execute(f'SELECT {names} FROM "{table}"'):  # noqa: S608 - Django's names
        count += 1
        total += _sum(exact, row, None)
        loose += _sum(rough, row, skipped)
    return TableSums(rows=count, exact=total, rough=loose, loss=_known_loss(link=link))


def mariadb_checksums(cursor: Any) -> dict[str, TableSums]:
    cursor.execute("""
        SELECT table_name, column_name, EXISTS (
            SELECT 1 FROM information_schema.check_constraints AS rule
            WHERE rule.constraint_schema = database() AND rule.table_name = col.table_name
            AND check_clause = concat('json_valid(`', column_name, '`)')), data_type
        FROM information_schema.columns AS col
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = database() AND table_type = 'BASE TABLE'
        ORDER BY table_name, column_name""")
    found: dict[str, dict[str, str]] = {}
    for table, column, is_document, kind in cursor.fetchall():
        found.setdefault(table, {})[column] = "json" if is_document else kind
    return {
        table: _mariadb_sums(cursor, table, columns)
        for table, columns in found.items()
        if not table.startswith(BOOKKEEPING_PREFIXES)
    }


def _mariadb_sums(cursor: Any, table: str, columns: Mapping[str, str]) -> TableSums:
    link = is_link(columns)
    exact = [MARIADB_FORMS.get(kind, "`{}`").format(name) for name, kind in columns.items()]
    rough = [
        f"left(`{name}`, {MILLISECONDS_LETTERS})" if kind == "datetime" else form
        for (name, kind), form in zip(columns.items(), exact, strict=True)
        if not (link and name == "id")
    ]
    cursor.execute(f"SELECT count(*), {_mariadb_sum(exact)}, {_mariadb_sum(rough)} FROM `{table}`")  # noqa: S608 - Django's names
    ((rows, total, loose),) = cursor.fetchall()
    return TableSums(rows=rows, exact=int(total), rough=int(loose), loss=_known_loss(link=link))


def _mariadb_sum(forms: Iterable[str]) -> str:
    """Of the first 64 bits of a digest of each row; quote() tells NULL from its name."""
    row = ", ".join(f"quote({form})" for form in forms)
    return f"coalesce(sum(cast(conv(left(md5(concat_ws(',', {row})), 16), 16, 10) AS unsigned)), 0)"


def is_link(columns: Iterable[str]) -> bool:
    others = [name for name in columns if name != "id"]
    return len(others) == LINK_COLUMNS - 1 and all(name.endswith("_id") for name in others)


def _known_loss(*, link: bool) -> str:
    return LINK_KEYS if link else MICROSECONDS


def _sum(spellers: Sequence[Callable[[Any], Any]], row: Sequence[Any], skipped: int | None) -> int:
    values = [
        spell(value)
        for place, (spell, value) in enumerate(zip(spellers, row, strict=True))
        if place != skipped
    ]
    return int.from_bytes(blake2b(repr(values).encode(), digest_size=8).digest())


def _same(value: Any) -> Any:
    return value


def _milliseconds(value: str | None) -> str | None:
    """Down to them, and without zeros, as Django leaves them away when there are no others."""
    return None if value is None else value[:MILLISECONDS_LETTERS].removesuffix(".000")


def _document(value: str | None) -> Any:
    """JSON without the freedom of spelling it has."""
    return None if value is None else json.loads(value)
