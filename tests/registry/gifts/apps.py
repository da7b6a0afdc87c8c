from __future__ import annotations

from django.apps import AppConfig


class GiftsConfig(AppConfig):
    name = "tests.registry.gifts"
    default_auto_field = "django.db.models.BigAutoField"
