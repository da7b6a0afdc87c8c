"""Which model needs which other one before it, and the order that follows.

Sources: foreign keys, one-to-one and many-to-many fields, inheritance, dependencies of
natural keys as Django's serializers know them, and generic relations.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from django.db.models import Field

from diskette.core.order import arrange
from diskette.registry.installed import ModelType, all_models, concrete, owner_of

Owner = TypeVar("Owner", bound=Hashable)


class Need(IntEnum):
    """How strongly one model needs another; in a cycle the weakest needs give way."""

    GENERIC = 1
    OPTIONAL = 2
    REQUIRED = 3
    PARENT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Why `model` comes after `target`."""

    model: ModelType
    target: ModelType
    need: Need
    field: str
    """The model's field that holds the target's key; "" where no column does."""
    why: str
    """`blog.Article.author refers to auth.User`."""


Graph = Mapping[ModelType, Mapping[ModelType, Relation]]
"""Model to the models it needs, each with its strongest relation."""


def load_order(models: Collection[ModelType]) -> tuple[ModelType, ...]:
    """The models, referenced ones first; the same for the same set, whatever its order.

    Cycles are allowed: constraints are checked when everything is loaded, so in a cycle
    the optional references give way to the required ones, and those to inheritance.
    """
    place = {model: number for number, model in enumerate(all_models())}

    def usual(model: ModelType) -> tuple[int, bool, str]:
        """As declared. Many-to-many tables register when both sides are imported: no order."""
        owner = owner_of(model)
        return place.get(owner or model, len(place)), owner is not None, model._meta.label

    ordered = sorted(set(models), key=usual)
    return tuple(arrange(ordered, _strengths(graph(ordered))))


def graph(models: Collection[ModelType]) -> Graph:
    """The needs of the models among themselves."""
    among = set(models)
    found: dict[ModelType, dict[ModelType, Relation]] = {model: {} for model in models}
    for relation in (each for model in models for each in relations(model)):
        if relation.model != relation.target and {relation.model, relation.target} <= among:
            _keep_strongest(found[relation.model], relation.target, relation)
    return found


def owners_graph(
    owners: Mapping[ModelType, Owner], models: Graph
) -> dict[Owner, dict[Owner, Relation]]:
    """The same between what the models belong to: applications or definitions."""
    found: dict[Owner, dict[Owner, Relation]] = {owner: {} for owner in owners.values()}
    for model, needed in models.items():
        for target, relation in needed.items():
            if owners[model] != owners[target]:
                _keep_strongest(found[owners[model]], owners[target], relation)
    return found


def arrange_owners(
    owners: Iterable[Owner], needs: Mapping[Owner, Mapping[Owner, Relation]]
) -> list[Owner]:
    return arrange(list(owners), _strengths(needs))


def relations(model: ModelType) -> Iterator[Relation]:
    """Every relation that the model's own table or class declares, to itself included."""
    for field in model._meta.local_fields:
        yield from _reference(model, field)
    for many in model._meta.local_many_to_many:
        yield from _many_to_many(model, many)
    yield from _natural_key(model)
    for private in model._meta.private_fields:
        yield from _generic(model, private)


def _reference(model: ModelType, field: Field[Any, Any]) -> Iterator[Relation]:
    target = field.related_model
    if isinstance(target, type) and field.remote_field is not None:
        table = concrete(target)
        inherits = field.remote_field.parent_link
        need = Need.PARENT if inherits else Need.OPTIONAL if field.null else Need.REQUIRED
        verb = "inherits from" if inherits else "refers to"
        why = f"{model._meta.label}.{field.name} {verb} {table._meta.label}"
        yield Relation(model=model, target=table, need=need, field=field.name, why=why)


def _many_to_many(model: ModelType, field: Field[Any, Any]) -> Iterator[Relation]:
    through = getattr(field.remote_field, "through", None)
    target = field.related_model
    if isinstance(target, type) and through is not None and through._meta.auto_created:
        table = concrete(target)
        why = f"{model._meta.label}.{field.name} refers to {table._meta.label}"
        yield Relation(model=model, target=table, need=Need.OPTIONAL, field="", why=why)


def _natural_key(model: ModelType) -> Iterator[Relation]:
    natural_key = getattr(model, "natural_key", None)
    for label in getattr(natural_key, "dependencies", ()):
        try:
            target = concrete(model._meta.apps.get_model(label))
        except LookupError:
            continue  # Its application is not installed, so nothing of it can be needed.
        why = f"{model._meta.label}.natural_key depends on {target._meta.label}"
        yield Relation(model=model, target=target, need=Need.REQUIRED, field="", why=why)


def _generic(model: ModelType, field: object) -> Iterator[Relation]:
    """A GenericRelation: rows of its model point at this one's by content type and key."""
    related = getattr(field, "related_model", None)
    if getattr(field, "one_to_many", False) and isinstance(related, type):
        table = concrete(related)
        declared = f"{model._meta.label}.{getattr(field, 'name', '')}"
        why = (
            f"{table._meta.label} refers to {model._meta.label} ({declared} is a generic relation)"
        )
        yield Relation(model=table, target=model, need=Need.GENERIC, field="", why=why)


def _keep_strongest(found: dict[Owner, Relation], key: Owner, relation: Relation) -> None:
    if key not in found or found[key].need < relation.need:
        found[key] = relation


def _strengths(
    needs: Mapping[Owner, Mapping[Owner, Relation]],
) -> dict[Owner, dict[Owner, int]]:
    return {
        owner: {needed: int(relation.need) for needed, relation in relations.items()}
        for owner, relations in needs.items()
    }
