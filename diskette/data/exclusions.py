"""Rows that PostgreSQL's exclusion constraints keep apart: bookings of one room that overlap.

Of the database's own catalogue, whether a model declares them or somebody made them by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from diskette.data import sampling, undeclared
from diskette.data.findings import Sample
from diskette.data.outcome import Outcome

CATALOGUE = """
    SELECT conname, pg_get_constraintdef(rule.oid), amname,
        coalesce(pg_get_expr(indpred, indrelid), 'true'),
        pg_get_indexdef(indexrelid, place::int, true),
        format('%%I.%%I', class_space.nspname, opcname),
        format('OPERATOR(%%I.%%s)', operator_space.nspname, oprname)
    FROM pg_constraint AS rule
    JOIN pg_index ON indexrelid = conindid
    JOIN pg_class AS index ON index.oid = indexrelid
    JOIN pg_am AS method ON method.oid = relam
    CROSS JOIN LATERAL unnest(conexclop, (indclass::oid[])[0:indnkeyatts - 1])
        WITH ORDINALITY AS keys(operator, class, place)
    JOIN pg_operator ON pg_operator.oid = keys.operator
    JOIN pg_namespace AS operator_space ON operator_space.oid = oprnamespace
    JOIN pg_opclass ON pg_opclass.oid = keys.class
    JOIN pg_namespace AS class_space ON class_space.oid = opcnamespace
    WHERE conrelid = %s::regclass AND contype = 'x'
    ORDER BY conname, place"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A value of each row, as SQL, and the operator that must not hold for two rows' values."""

    value: str
    kind: str
    """The operator class by which an index has it."""
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """No two rows may have all operators hold for their values."""

    name: str
    told: str
    """As SQL defines it."""
    method: str
    """Of its index."""
    condition: str
    """Which rows it is about."""
    keys: tuple[Key, ...]


def exclusions(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Exclusion]:
    """Those of the live table that ask for nothing but what an archive holds."""
    if connection.vendor != "postgresql":
        return
    left = undeclared.unknown_here(model, connection)
    table = connection.ops.quote_name(model._meta.db_table)
    rows = sampling.query(connection, CATALOGUE, [table])
    for (name, told, method, condition), parts in groupby(rows, itemgetter(0, 1, 2, 3)):
        keys = tuple(
            Key(value=value, kind=kind, operator=operator) for *_, value, kind, operator in parts
        )
        if not undeclared.words(" ".join((condition, *(key.value for key in keys)))) & left:
            yield Exclusion(name=name, told=told, method=method, condition=condition, keys=keys)


def broken(outcome: Outcome, model: type[Model], exclusion: Exclusion) -> Sample | None:
    """The rows of a table, as it will be, that exclude each other; None: there are none."""
    engine = outcome.engine
    with _indexed(outcome, model, exclusion) as table:
        meets = " AND ".join(
            f"other.diskette_{place} {key.operator} referring.diskette_{place}"
            for place, key in enumerate(exclusion.keys)
        )
        others = f"SELECT 1 FROM {table} AS other WHERE other.ctid <> referring.ctid AND {meets}"
        rows = f"FROM {table} AS referring WHERE EXISTS ({others})"
        if not (count := engine.scalar(f"SELECT count(*) {rows}")):
            return None
        objects = sampling.primary_keys(engine.connection, model, rows)
        return Sample(count=int(count), objects=objects)


@contextmanager
def _indexed(outcome: Outcome, model: type[Model], exclusion: Exclusion) -> Iterator[str]:
    """The keys and values of the rows, in a table with the constraint's own kind of index.

    Without one, each row would be compared with each other.
    """
    engine, table = outcome.engine, outcome.engine.named("exclusion")
    values = [f"({key.value}) AS diskette_{n}" for n, key in enumerate(exclusion.keys)]
    kinds = [f"diskette_{n} {key.kind}" for n, key in enumerate(exclusion.keys)]
    engine.execute(
        f"CREATE UNLOGGED TABLE {table} AS"
        f" SELECT {', '.join([*engine.key_columns(model), *values])}"
        f" FROM {outcome.source(model)} AS referring WHERE {exclusion.condition}"
    )
    engine.execute(f"CREATE INDEX ON {table} USING {exclusion.method} ({', '.join(kinds)})")
    engine.execute(f"ANALYZE {table}")
    yield table
    engine.execute(f"DROP TABLE {table}")
