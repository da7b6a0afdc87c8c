"""What is wrong with rows where they are: asked of the database that is dumped, table by table.

Every question is one statement over whole tables, and a sound table costs no second one.
`Table.using` may be a snapshot's connection: then it is the archive's own rows that are judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, Model, Q, QuerySet, Sum

from diskette import registry
from diskette.core.report import JSON, Finding
from diskette.data import findings, probing, sampling, tables
from diskette.data.engines.reading import Condition, Reading, reading_of
from diskette.data.findings import CONTENT_TYPE, PERMISSION, SAMPLE, Sample
from diskette.data.kinds import AnyField
from diskette.data.tables import AnyReference, Generic

MADE_BY_MIGRATE = (CONTENT_TYPE, PERMISSION)
ALL_ROWS = Condition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A model's rows as a dump reads them."""

    model: type[Model]
    using: str
    database: str
    """Whose rows they are: `using` may be a snapshot of it."""
    default_manager: bool = False
    """Only those that the default manager shows."""

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.using]

    @property
    def reading(self) -> Reading:
        return reading_of(self.using)(self.model, (), self.using)

    @property
    def dumped(self) -> Condition:
        return self.reading.visible() if self.default_manager else ALL_ROWS

    @property
    def place(self) -> str:
        """What stands behind FROM; its parameters are those of `dumped`."""
        condition = self.dumped.sql
        table = self.reading.table
        return f"(SELECT * FROM {table}{condition})" if condition else table

    def quoted(self, field: Any) -> str:
        return str(self.connection.ops.quote_name(tables.column_name(field)))


def count(table: Table) -> int:
    return table.reading.count()


def hidden(table: Table) -> int:
    """Rows that the default manager does not show, where it is asked."""
    if not table.default_manager:
        return 0
    condition = table.dumped
    shown = f"SELECT count(*) FROM {table.reading.table}{condition.sql}"
    return count(table) - int(sampling.query(table.connection, shown, condition.parameters)[0][0])


def unsteady(models: Sequence[type[Model]], database: str) -> Iterator[Finding]:
    """Tables that no snapshot holds still; only MariaDB and MySQL have such."""
    if connections[database].vendor != "mysql":
        return
    from diskette.data.engines.mysql_tables import without_transactions

    for model, engine in without_transactions(models, database).items():
        yield findings.no_transactions(model, engine=engine, database=database)


def dangling(table: Table, dumped: Mapping[type[Model], Table]) -> Iterator[Finding]:
    """References to rows that the archive will not have, though it has their model."""
    for reference in tables.references(table.model):
        referred = tables.target(reference)
        target = dumped.get(referred)
        if referred._meta.label in MADE_BY_MIGRATE and registry.home(referred) == table.database:
            target = Table(model=referred, using=table.using, database=table.database)
        if target is None or target.using != table.using:
            continue
        if sample := _dangling(table, reference, target):
            finding = findings.dangling(
                table.model, reference.name, referred, sample, hides=target.default_manager
            )
            yield finding if tables.is_enforced(reference) else findings.tolerated(finding)


def _dangling(table: Table, reference: AnyReference, target: Table) -> Sample | None:
    there = target.dumped
    same = f"referred.{table.quoted(reference.target_field)} = referring.{table.quoted(reference)}"
    missing = f"NOT EXISTS (SELECT 1 FROM {target.place} AS referred WHERE {same})"
    return _sample(table, reference, missing, there.parameters)


def referring(table: Table, reference: AnyReference) -> Sample | None:
    """The rows that refer to anything by this reference."""
    return _sample(table, reference, "1 = 1")


def by_generic_key(table: Table, generic: Generic, referred: type[Model]) -> Sample | None:
    """The rows that refer to a model's by a generic foreign key, which holds their keys."""
    kind = generic.kind_of(referred, table.using)
    return _sample(table, generic.key, f"referring.{table.quoted(generic.kind)} = {kind}")


def stale(table: Table) -> Iterator[Finding]:
    """References to content types, and their permissions, of models no longer installed."""
    for reference in tables.references(table.model):
        referred = tables.target(reference)
        if referred._meta.label not in MADE_BY_MIGRATE:
            continue
        known = stale_keys(referred, table.using)
        if known and (sample := _sample(table, reference, _is_one_of(table, reference, known))):
            named = tuple(known[key] for key in sample.keys)
            shown = replace(sample, keys=named)
            yield findings.stale_at_source(reference, shown, database=table.database)


def stale_keys(model: type[Model], using: str) -> dict[JSON, JSON]:
    """By primary key, the natural keys of content types or permissions of models that are gone."""
    rows: QuerySet[Any] = QuerySet(model, using=using)
    if model._meta.label == CONTENT_TYPE:
        return {row.pk: list(row.natural_key()) for row in rows if row.model_class() is None}
    of = model._meta.get_field("content_type").related_model
    gone = stale_keys(of, using) if isinstance(of, type) else {}
    found = rows.filter(content_type__in=list(gone)).select_related("content_type") if gone else ()
    return {row.pk: list(row.natural_key()) for row in found}


def _is_one_of(table: Table, reference: AnyReference, keys: Collection[JSON]) -> str:
    return f"referring.{table.quoted(reference)} IN ({', '.join(map(str, keys))})"


def shared_natural_keys(table: Table) -> Sample | None:
    """Rows whose natural key is another one's, too. None also where only Python could tell."""
    paths = probing.natural_key_fields(table.model)
    if not paths or probing.is_unique(table.model, paths):
        return None
    rows: QuerySet[Any] = QuerySet(table.model, using=table.using).order_by()
    groups = rows.values(*paths).annotate(shared=Count("*")).filter(shared__gt=1)
    if not (count := groups.aggregate(Sum("shared"))["shared__sum"]):
        return None
    keys = [tuple(key.values()) for key in groups.order_by(*paths).values(*paths)[:SAMPLE]]
    alike = [Q(**dict(zip(paths, key, strict=True))) for key in keys]
    objects = rows.filter(reduce(or_, alike)).order_by("pk").values_list("pk", flat=True)
    return Sample(
        count=count,
        keys=tuple(tables.plain(list(key)) for key in keys),
        objects=tuple(tables.plain(key) for key in objects[:SAMPLE]),
    )


def _sample(
    table: Table, reference: AnyField, condition: str, parameters: Sequence[Any] = ()
) -> Sample | None:
    """Of dumped rows that refer to something and of which the condition holds."""
    own = table.dumped
    rows = (
        f"FROM {table.place} AS referring WHERE referring.{table.quoted(reference)} IS NOT NULL"
        f" AND {condition}"
    )
    return sampling.sample(
        table.connection,
        table.model,
        reference,
        rows,
        parameters=(*own.parameters, *parameters),
    )
