"""What loading needs to know of a model's own table: columns, keys, references.

Only what stands in the table itself: an inherited field is its parent's business, a
generated column the database's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import ForeignKey, ForeignObjectRel, Model, QuerySet

from diskette import conf
from diskette.core.report import JSON
from diskette.data.kinds import AnyField

AnyReference = ForeignKey[Any, Any]


def stored_fields(model: type[Model]) -> tuple[AnyField, ...]:
    """The fields whose columns a row of this table is written with."""
    return tuple(field for field in model._meta.local_concrete_fields if not field.generated)


def column_name(field: AnyField) -> str:
    """As it stands in the database; every stored field has one."""
    return str(field.column)


def generated_fields(model: type[Model]) -> tuple[AnyField, ...]:
    return tuple(field for field in model._meta.local_concrete_fields if field.generated)


def key_fields(model: type[Model]) -> tuple[AnyField, ...]:
    """The fields of the primary key; more than one where it is composite."""
    return tuple(model._meta.pk_fields)


def has_fields(model: type[Model], names: Sequence[str]) -> bool:
    """Whether rows here have just an archive's fields, so that their digest can be as promised.

    The digest is of whole lines: a field added or left out since changes that of every row.
    """
    keys = {field.name for field in key_fields(model)}
    here = [field.name for field in stored_fields(model) if field.name not in keys]
    return here == [name for name in names if name not in keys]


def references(model: type[Model]) -> tuple[AnyReference, ...]:
    """The foreign keys of this table: one-to-one and parent links among them."""
    return tuple(field for field in stored_fields(model) if isinstance(field, ForeignKey))


@dataclass(frozen=True, slots=True, kw_only=True)
class Generic:
    """A generic foreign key: a content type and a primary key of that kind's."""

    name: str
    kind: AnyReference
    key: AnyField

    def kind_of(self, referred: type[Model], using: str) -> int:
        """The key of a model's content type; 0: it has none in that database."""
        kinds: QuerySet[Any] = QuerySet(target(self.kind), using=using)
        options = referred._meta
        found = kinds.filter(app_label=options.app_label, model=options.model_name)
        return int(found.values_list("pk", flat=True).first() or 0)


def generic_references(model: type[Model]) -> Iterator[Generic]:
    """The generic foreign keys whose columns stand in this table."""
    own = {field.name: field for field in stored_fields(model)}
    for each in model._meta.private_fields:
        kind = own.get(getattr(each, "ct_field", ""))
        key = own.get(getattr(each, "fk_field", ""))
        if isinstance(kind, ForeignKey) and key is not None:
            yield Generic(name=each.name, kind=kind, key=key)


def concrete(model: type[Model]) -> type[Model]:
    """The model that has the table: a proxy's own parent."""
    return model._meta.concrete_model or model


def target(reference: AnyReference) -> type[Model]:
    """The model whose table holds what the reference points to."""
    return concrete(reference.target_field.model)


def referenced_fields(model: type[Model]) -> frozenset[AnyField]:
    """The fields of this table that any model's foreign keys name: the key, a `to_field`."""
    relations = model._meta.get_fields(include_hidden=True)
    referring = (each.field for each in relations if isinstance(each, ForeignObjectRel))
    named = {each.target_field for each in referring if isinstance(each, ForeignKey)}
    return frozenset(named.intersection(stored_fields(model)))


def has_natural_key(model: type[Model]) -> bool:
    return hasattr(model, "natural_key") and hasattr(manager(model), "get_by_natural_key")


def manager(model: type[Model]) -> Any:
    """The one that Django itself asks for natural keys."""
    return model._default_manager  # noqa: SLF001 - a documented name


def natural_references(model: type[Model]) -> tuple[AnyReference, ...]:
    """The references that an archive may hold as lists: Django's natural foreign keys."""
    return tuple(each for each in references(model) if has_natural_key(each.remote_field.model))


def is_enforced(reference: AnyReference) -> bool:
    """Whether the database itself holds the reference to be true."""
    return bool(getattr(reference, "db_constraint", True))


def names(using: str) -> frozenset[str]:
    """The tables that there are in a database."""
    connection = connections[using]
    with connection.cursor() as cursor:
        return frozenset(connection.introspection.table_names(cursor))


def neighbours(models: Iterable[type[Model]], using: str) -> Iterator[type[Model]]:
    """Every other model with a table in this database: what stays beside the loaded ones."""
    loaded = {model._meta.db_table for model in models}
    existing = names(using)
    for model in apps.get_models(include_auto_created=True):
        options = model._meta
        if options.proxy or options.swapped or options.db_table in loaded:
            continue
        if options.db_table in existing and router.allow_migrate_model(
            conf.configured_alias(using), model
        ):
            yield model


def shown(field: AnyField, value: Any, connection: BaseDatabaseWrapper) -> JSON:
    """A raw column value as people know it, fit for JSON."""
    if value is None:
        return None
    column: Any = field.get_col(field.model._meta.db_table)
    converters = connection.ops.get_db_converters(column) + column.get_db_converters(connection)
    for convert in converters:
        value = convert(value, column, connection)
    return plain(value)


def shown_key(values: list[JSON]) -> JSON:
    """A key of one value is that value."""
    return values[0] if len(values) == 1 else values


def plain(value: Any) -> JSON:
    """The nearest value that JSON has."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
