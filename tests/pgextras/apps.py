from __future__ import annotations

from django.apps import AppConfig


class PostgresExtrasConfig(AppConfig):
    name = "tests.pgextras"
    label = "pgextras"
    default_auto_field = "django.db.models.BigAutoField"
