"""Which fields a natural key is made of: found by asking a row whose values are marks.

`natural_key` is the project's own code. Most only return fields, their own or those of
related rows; of those that do more, nothing is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import ForeignKey, Model, UniqueConstraint

from diskette.data import tables

DEEPEST = 3
"""References that are followed, one behind the other."""


@dataclass(frozen=True, slots=True)
class _Mark:
    path: str


def natural_key_fields(model: type[Model]) -> tuple[str, ...]:
    """Lookups such as `name` or `publisher__name`; empty where the key is made otherwise."""
    if not tables.has_natural_key(model):
        return ()
    try:
        key = tuple(_marked(model).natural_key())
    except Exception:  # noqa: BLE001 - a project's method, on values it has never seen
        return ()
    return tuple(mark.path for mark in key) if all(isinstance(m, _Mark) for m in key) else ()


def is_unique(model: type[Model], paths: Collection[str]) -> bool:
    """Whether the models promise that no two rows share the values of these fields."""
    heads = {path.partition("__")[0] for path in paths}
    told = {head for head in heads if _is_told(model, head, paths)}
    return any(names <= told for names in _unique_together(model))


def _is_told(model: type[Model], head: str, paths: Collection[str]) -> bool:
    """Whether the values tell this field's: it is one of them, or a reference to a known row."""
    if head in paths:
        return True
    rest = [path.partition("__")[2] for path in paths if path.startswith(f"{head}__")]
    referred = model._meta.get_field(head).related_model
    return isinstance(referred, type) and is_unique(referred, rest)


def _unique_together(model: type[Model]) -> Iterator[set[str]]:
    options = model._meta
    yield from ({field.name} for field in options.concrete_fields if field.unique)
    yield from (set(names) for names in options.unique_together)
    for each in options.constraints:
        if isinstance(each, UniqueConstraint) and each.fields and each.condition is None:
            yield set(each.fields)


def _marked(model: type[Model], prefix: str = "", depth: int = 0) -> Any:
    row = model()
    for field in model._meta.concrete_fields:
        row.__dict__[field.attname] = _Mark(f"{prefix}{field.name}")
        if isinstance(field, ForeignKey) and depth < DEEPEST:
            referred = tables.concrete(field.remote_field.model)
            related = _marked(referred, f"{prefix}{field.name}__", depth + 1)
            field.set_cached_value(row, related)
    return row
