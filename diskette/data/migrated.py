"""The rows that `migrate` makes, made where nobody has migrated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.db.models import Model, QuerySet

from diskette import registry
from diskette.data.findings import CONTENT_TYPE, PERMISSION


def fill(using: str) -> None:
    """Content types and permissions of every installed model, as far as this project has them."""
    kind: Any = registry.find_model(CONTENT_TYPE)
    right: Any = registry.find_model(PERMISSION)
    if kind is None:
        return
    models = [(model, kind(pk=pk, **_named(model))) for pk, model in enumerate(_models(), start=1)]
    QuerySet(kind, using=using).bulk_create(of for _, of in models)
    if right is None:
        return
    named = [(of, codename) for model, of in models for codename in _codenames(model)]
    QuerySet(right, using=using).bulk_create(
        right(pk=pk, content_type=of, codename=codename, name=codename)
        for pk, (of, codename) in enumerate(named, start=1)
    )


def _models() -> list[type[Model]]:
    """Proxies, too: they have content types of their own."""
    return list(apps.get_models())


def _named(model: type[Model]) -> dict[str, str]:
    return {"app_label": model._meta.app_label, "model": str(model._meta.model_name)}


def _codenames(model: type[Model]) -> Iterator[str]:
    options = model._meta
    yield from (get_permission_codename(action, options) for action in options.default_permissions)
    yield from (codename for codename, _ in options.permissions)
