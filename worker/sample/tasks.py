"""How a project's own tasks start a load and watch it."""

from __future__ import annotations

import json
from typing import Any

from celery import Task, shared_task
from celery.states import READY_STATES
from django_celery_results.models import TaskResult

import diskette

WATCH_SECONDS = 0.2
WATCH_TIMES = 3_000


@shared_task(name="sample.restore")
def restore(archive: str) -> str:
    """Begin a load of the archive and have it watched; returns the run's id at once."""
    run_id = str(diskette.load(archive, enqueue=True).id)
    watch.apply_async((run_id,), task_id=f"watch-{run_id}")
    return run_id


@shared_task(bind=True, name="sample.watch", max_retries=WATCH_TIMES)
def watch(self: Task[..., Any], run_id: str, seen: list[int] | None = None) -> dict[str, Any]:
    """Look at the run's result again and again, until it is final.

    It comes back as another message each time instead of waiting: a task that waits takes
    a place from those it waits for. Returns the final status and the percentages seen.
    """
    result = TaskResult.objects.get(task_id=run_id)
    percent = int(json.loads(result.result)["percent"])
    seen = [*(seen or []), *([percent] if not seen or percent != seen[-1] else [])]
    if result.status not in READY_STATES:
        raise self.retry(args=(run_id, seen), countdown=WATCH_SECONDS)
    return {"status": result.status, "seen": seen}
