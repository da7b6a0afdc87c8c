"""Makes the Celery application known wherever Django starts: commands, web, shell."""

from __future__ import annotations

from django.apps import AppConfig


class WorkerConfig(AppConfig):
    name = "worker"
    verbose_name = "Diskette's worker"

    def ready(self) -> None:
        """Import the application, so that a task sent from here goes to its broker."""
        import worker.celery  # noqa: F401
