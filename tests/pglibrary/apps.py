from __future__ import annotations

from django.apps import AppConfig


class PostgresLibraryConfig(AppConfig):
    name = "tests.pglibrary"
    label = "pglibrary"
    default_auto_field = "django.db.models.BigAutoField"
