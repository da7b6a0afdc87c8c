"""Every row of the applications that have a past, as plain values."""

from __future__ import annotations

from django.apps import apps
from django.contrib.contenttypes.models import ContentType


def picture() -> dict[str, list[list[str]]]:
    """By label. Content types by name: their keys are each database's own."""
    kinds = {str(each.pk): f"{each.app_label}.{each.model}" for each in ContentType.objects.all()}
    found = {}
    for app in ("store", "notes"):
        for model in apps.get_app_config(app).get_models(include_auto_created=True):
            fields = [field.attname for field in model._meta.local_concrete_fields]
            found[model._meta.label] = sorted(
                [
                    kinds[str(v)] if f == "content_type_id" else str(v)
                    for f, v in zip(fields, row, strict=True)
                ]
                for row in model.objects.values_list(*fields)
            )
    return found
