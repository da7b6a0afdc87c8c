from __future__ import annotations

from django.apps import AppConfig


class KioskConfig(AppConfig):
    name = "tests.registry.kiosk"
    verbose_name = "Kiosk: \"true\" wares & null 'prices'"
    default_auto_field = "django.db.models.BigAutoField"
