"""Every row of a site as Django's ORM shows it, for the original's site and for one of ours."""

from __future__ import annotations

import base64
from typing import Any

from django.apps import apps
from django.db import models

APPLICATIONS = ("admin", "auth", "library")
MIGRATED = ("auth.Permission",)
"""Rows that `migrate` makes, under numbers of each database's own."""


def rows(using: str = "default") -> dict[str, list[dict[str, Any]]]:
    """By label, each row by field; references to what has a natural key are shown by that."""
    return {
        model._meta.label: sorted(_rows(model, using), key=str)
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in APPLICATIONS
        and model._meta.managed
        and not model._meta.proxy
        and model._meta.label not in MIGRATED
    }


def without_keys(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The same without the numbers of rows that have natural keys."""
    keyless = {
        model._meta.label: model._meta.pk.name
        for model in apps.get_models()
        if hasattr(model, "natural_key")
    }
    return {
        label: sorted(
            ({k: v for k, v in row.items() if k != keyless.get(label)} for row in group), key=str
        )
        for label, group in found.items()
    }


def _rows(model: type[models.Model], using: str) -> list[dict[str, Any]]:
    found = models.QuerySet(model, using=using).order_by()
    return [
        {
            field.name: _shown(field, row, using)
            for field in model._meta.local_concrete_fields
            if not (model._meta.auto_created and field.primary_key)
        }
        for row in found
    ]


def _shown(field: models.Field, row: models.Model, using: str) -> Any:
    value = getattr(row, field.attname)
    if isinstance(field, models.ForeignKey) and value is not None:
        target = field.remote_field.model
        if hasattr(target, "natural_key"):
            named = models.QuerySet(target, using=using).get(**{field.target_field.name: value})
            return list(named.natural_key())
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    if value is None or isinstance(value, bool | int | str | dict | list):
        return value
    if isinstance(value, float):
        return repr(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
