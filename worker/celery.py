"""The Celery application: `celery -A worker worker -Q diskette`.

A project with settings of its own sets DJANGO_SETTINGS_MODULE and uses this as it is, or
copies what it likes into its own Celery application.
"""

from __future__ import annotations

import os

from celery import Celery

import diskette

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")

app = Celery("worker")
app.config_from_object("worker.config")
app.conf.beat_schedule = diskette.beat_schedule()
app.autodiscover_tasks()
