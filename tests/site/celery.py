"""The site's Celery application under the tests' settings: `celery -A tests.site`."""

from __future__ import annotations

from worker.celery import app

__all__ = ["app"]
