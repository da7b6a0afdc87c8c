"""Diskette as a Django application."""

from __future__ import annotations

from django.apps import AppConfig


class DisketteConfig(AppConfig):
    name = "diskette"
    verbose_name = "Diskette"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register what listens: system checks, the projection of results, notifications."""
        from diskette import checks, deployment, notify, results

        checks.connect()
        deployment.connect()
        results.connect()
        notify.connect()
