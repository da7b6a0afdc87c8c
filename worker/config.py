"""Celery's settings: the one place where it reads the environment.

Why each value is what it is: docs/deployment.md. What a fault does to a run does not
depend on them, runs are rows and the sweep finds what was lost; they decide how soon.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

DAY_SECONDS = 24 * 60 * 60

DUMP_QUEUE = "diskette"
LOAD_QUEUE = "diskette-load"

broker_url = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
broker_connection_retry_on_startup = True
# Longer than any step and any wait in a queue: what runs longer would be delivered twice.
visibility_timeout = 2 * DAY_SECONDS
broker_transport_options: dict[str, Any] = {
    "visibility_timeout": visibility_timeout,
    "health_check_interval": 30,
    "socket_keepalive": True,
    "retry_on_timeout": True,
}

result_backend = "django-db"
result_backend_always_retry = True
result_backend_transport_options = {"visibility_timeout": visibility_timeout}
result_extended = True
# The history of backups stays until someone deletes it.
result_expires = None

accept_content = ["json"]
result_accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"

# A lost step is found by its lease, so no message needs to outlive its worker.
task_acks_late = False
task_reject_on_worker_lost = False
task_track_started = True
task_soft_time_limit = int(os.environ.get("CELERY_STEP_SECONDS", "14400"))
task_time_limit = task_soft_time_limit + 5 * 60

worker_pool = os.environ.get("CELERY_POOL", "prefork")
worker_prefetch_multiplier = 1
worker_max_tasks_per_child = 20
worker_cancel_long_running_tasks_on_connection_loss = False
worker_soft_shutdown_timeout = float(os.environ.get("CELERY_SHUTDOWN_SECONDS", "50"))

enable_utc = True
timezone = os.environ.get("TIME_ZONE", "UTC")
beat_schedule_filename = os.environ.get(
    "CELERY_BEAT_FILE", str(Path(__file__).parent.parent / "var" / "celerybeat-schedule")
)
