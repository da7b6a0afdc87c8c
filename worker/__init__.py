"""The ready service: Celery app, settings from the environment, schedule, sample, demo."""

from __future__ import annotations
