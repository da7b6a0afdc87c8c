"""What a model declares about its rows, as SQL over the bare columns of its table.

Compiled as Django compiles it for a migration: values written in, columns unqualified.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CheckConstraint, F, Field, Model, Q, UniqueConstraint
from django.db.models.expressions import OrderBy
from django.db.models.sql import Query

from diskette.core.report import JSON
from diskette.data import tables
from diskette.data.kinds import AnyField


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """Values that no two rows may share."""

    name: str
    """The fields, or the constraint where it is of expressions."""
    values: tuple[str, ...]
    fields: tuple[AnyField, ...]
    """Whose values they are; none where they are of expressions."""
    conditions: tuple[str, ...]
    """Which rows it is about: in SQL, all of them must hold."""

    def shown(self, row: Sequence[Any], connection: BaseDatabaseWrapper) -> JSON:
        """Values of a row as people know them."""
        if not self.fields:
            return tables.shown_key([tables.plain(value) for value in row])
        pairs = zip(self.fields, row, strict=True)
        return tables.shown_key([tables.shown(field, value, connection) for field, value in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    condition: str


def unique(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Unique]:
    """The primary key first, then what fields and the model's Meta declare.

    Constraints that the engine cannot hold are left out, as Django leaves them out.
    """
    options, build = model._meta, _Builder(model, connection)
    keys = tuple(field.name for field in tables.key_fields(model))
    yield build.of_fields(keys)
    for field in options.local_concrete_fields:
        if field.unique and (field.name,) != keys:
            yield build.of_fields((field.name,))
    for names in options.unique_together:
        yield build.of_fields(tuple(names))
    for each in options.constraints:
        if isinstance(each, UniqueConstraint) and _is_held(each, connection):
            yield build.of_constraint(each)


def checks(model: type[Model], connection: BaseDatabaseWrapper) -> Iterator[Check]:
    build = _Builder(model, connection)
    for each in model._meta.constraints:
        if isinstance(each, CheckConstraint):
            yield Check(name=each.name, condition=build.condition(each.condition))


def _is_held(constraint: UniqueConstraint, connection: BaseDatabaseWrapper) -> bool:
    can = connection.features
    return (
        (constraint.condition is None or can.supports_partial_indexes)
        and (constraint.deferrable is None or can.supports_deferrable_unique_constraints)
        and (not getattr(constraint, "include", ()) or can.supports_covering_indexes)
        and (not constraint.expressions or can.supports_expression_indexes)
        and (constraint.nulls_distinct is None or can.supports_nulls_distinct_unique_constraints)
    )


class _Builder:
    def __init__(self, model: type[Model], connection: BaseDatabaseWrapper) -> None:
        self.model, self.connection = model, connection

    def of_fields(
        self, names: tuple[str, ...], condition: Q | None = None, *, nulls_distinct: bool = True
    ) -> Unique:
        fields = [self.model._meta.get_field(name) for name in names]
        return Unique(
            name=", ".join(names),
            fields=tuple(field for field in fields if isinstance(field, Field)),
            **self._parts(tuple(map(F, names)), condition, nulls_distinct=nulls_distinct),
        )

    def of_constraint(self, constraint: UniqueConstraint) -> Unique:
        nulls_distinct = constraint.nulls_distinct is not False
        if constraint.fields:
            names, condition = tuple(constraint.fields), constraint.condition
            return self.of_fields(names, condition, nulls_distinct=nulls_distinct)
        expressions = tuple(map(_bare, constraint.expressions))
        parts = self._parts(expressions, constraint.condition, nulls_distinct=nulls_distinct)
        return Unique(name=constraint.name, fields=(), **parts)

    def _parts(
        self, expressions: tuple[Any, ...], condition: Q | None, *, nulls_distinct: bool
    ) -> dict[str, tuple[str, ...]]:
        values = tuple(self._compiled(self._resolved(each)) for each in expressions)
        conditions = [f"{value} IS NOT NULL" for value in values if nulls_distinct]
        conditions += [self.condition(condition)] if condition is not None else []
        return {"values": values, "conditions": tuple(conditions)}

    def condition(self, rule: Any) -> str:
        return f"({self._compiled(self._query.build_where(rule))})"

    @property
    def _query(self) -> Query:
        return Query(self.model, alias_cols=False)

    def _resolved(self, expression: Any) -> Any:
        return expression.resolve_expression(self._query, allow_joins=False)

    def _compiled(self, rule: Any) -> str:
        sql, values = self._query.get_compiler(connection=self.connection).compile(rule)
        quote = self.connection.schema_editor().quote_value
        return str(sql % tuple(quote(value) for value in values))


def _bare(expression: Any) -> Any:
    """An index's expression without its order or its operator class."""
    inner = expression.expression if isinstance(expression, OrderBy) else expression
    bare = getattr(inner, "get_expression_for_validation", None)
    return bare() if bare else inner
