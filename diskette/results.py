"""A step's and a run's report as django-celery-results' TaskResult.

The rows of `diskette.models` are the truth; this is their projection, written in the same
transaction, so it is never ahead of them, never behind, and survives whatever they survive.
Reading it needs nothing of ours. The shape is a contract: docs/results.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from django.db.models.signals import post_save, pre_save
from django.utils import timezone
from django_celery_results.models import TaskResult

from diskette import conf, engine
from diskette.core.exceptions import RunCancelled, RunFailed
from diskette.core.logs import logger_of
from diskette.core.plan import ENDED, State
from diskette.core.report import JSON, Finding, Severity, distinct
from diskette.models import Run, Step

logger = logger_of(__name__)

STATUS = {
    State.PENDING: "PENDING",
    State.READY: "PROGRESS",
    State.RUNNING: "PROGRESS",
    State.SUCCEEDED: "SUCCESS",
    State.FAILED: "FAILURE",
    State.CANCELLED: "REVOKED",
}
FIELDS_OF_CELERY = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "meta": '{"children": []}',
}


def connect() -> None:
    """Have every change of a run or step projected."""
    engine.step_changed.connect(_on_step, dispatch_uid="diskette.results.step")
    engine.run_changed.connect(_on_run, dispatch_uid="diskette.results.run")
    pre_save.connect(_keep, sender=TaskResult, dispatch_uid="diskette.results.keep")
    post_save.connect(_drop, sender=TaskResult, dispatch_uid="diskette.results.drop")
    engine.runs_forgotten.connect(_on_forgotten, dispatch_uid="diskette.results.forgotten")


def step_shape(step: Step, kind: str) -> dict[str, JSON]:
    """The result of a step, as docs/results.md says."""
    is_whole = step.state in (State.SUCCEEDED, State.SKIPPED)  # also where nothing was counted
    return {
        "run": str(step.run_id),
        "kind": kind,
        "step": step.name,
        "subject": step.subject,
        "state": _word(step.state),
        "attempt": step.attempt,
        "progress": step.progress.to_json() | ({"percent": 100.0} if is_whole else {}),
        "stats": step.stats,
        "findings": step.findings,
    }


def run_shape(run: Run, steps: Sequence[Step] = ()) -> dict[str, JSON]:
    """The result of a run: the same, with its steps counted and the percent over all.

    `steps` are the run's, where they are already known.
    """
    steps = steps or list(run.steps.using(conf.database()))
    ended = sum(step.state in ENDED for step in steps)
    findings = distinct([*run.findings, *(each for step in steps for each in step.findings)])
    return {
        "run": str(run.pk),
        "kind": run.kind,
        "step": "",
        "subject": "",
        "state": _word(run.state),
        "attempt": 1,
        "progress": {
            "done": ended,
            "total": len(steps),
            "unit": "steps",
            "percent": run.percent,
        },
        "stats": run.stats,
        "findings": findings,
        "steps": {"total": len(steps), **Counter(_word(step.state) for step in steps)},
        "percent": run.percent,
        "archive": run.archive,
    }


def failure_of(run: Run) -> RunFailed | RunCancelled:
    """What a run that ended without its result raises: its first error, with the cure."""
    if run.state == State.CANCELLED:
        return RunCancelled(str(run.pk))
    errors = [f for f in run.all_findings if f.severity == Severity.ERROR]
    first = next(iter(errors or run.all_findings), None)
    more = f" Its other errors: {len(errors) - 1}." if len(errors) > 1 else ""
    return RunFailed(str(run.pk), f"{_told(first)}{more}" if first else "see its steps")


def _told(finding: Finding) -> str:
    return f"{finding.message} {finding.hint}".strip()


def _on_step(*, step: Step, **_: object) -> None:
    shape = step_shape(step, step.run.kind)
    if step.state in (State.FAILED, State.CANCELLED):
        shape |= step.error or engine.error_shape(_why(step))
    _store(step.result_id, _status(step.state), shape, f"diskette.{step.name}", step)


def _on_run(
    *, run: Run, steps: Sequence[Step] = (), error: Exception | None = None, **_: object
) -> None:
    shape = run_shape(run, steps)
    if run.state in (State.FAILED, State.CANCELLED, State.SKIPPED):
        shape |= engine.error_shape(error or failure_of(run))
    status = "REVOKED" if run.state == State.SKIPPED else _status(run.state)
    _store(str(run.pk), status, shape, f"diskette.{run.kind}", None)


def _keep(*, instance: TaskResult, using: str, **_: object) -> None:
    """Leave a run's or step's result as it is, whoever else stores one under its id.

    Celery does so for a message that it cannot do or that has expired, by the id that the message
    bears; nothing is done then, and the result must go on to say what was.
    """
    if instance._state.adding:  # noqa: SLF001 - Django's documented API
        return
    run = instance.task_id.partition("/")[0]
    begins = f'{{"run":"{run}"'
    results = TaskResult.objects.using(using)
    for kept in results.filter(pk=instance.pk, result__startswith=begins).values():
        name, status = instance.task_name, instance.status
        words = "result %s stays: %s (%s) bore its id"
        logger.warning(words, instance.task_id, name, status, extra={"run": run})
        for field, value in kept.items():
            setattr(instance, field, value)


def _drop(*, instance: TaskResult, using: str, **_: object) -> None:
    """Remove what Celery stored of a sweep that its worker did not let end.

    It stores that something is to be tried again, which nobody does: the row would stay open.
    """
    if instance.task_name == "diskette.sweep":
        TaskResult.objects.using(using).filter(pk=instance.pk).delete()


def _on_forgotten(*, ids: Sequence[str], **_: object) -> None:
    TaskResult.objects.using(conf.database()).filter(task_id__in=ids).delete()


def _why(step: Step) -> Exception:
    if step.state == State.CANCELLED:
        return RunCancelled(str(step.run_id))
    first = next(iter(step.findings), {"message": "see its findings"})
    return RunFailed(str(step.run_id), str(first["message"]))


def _word(state: str) -> str:
    """Ready and running are one to whoever watches."""
    return State.RUNNING.value if state == State.READY else str(state)


def _status(state: str) -> str:
    return STATUS.get(State(state), "SUCCESS")


def _store(task_id: str, status: str, shape: JSON, name: str, step: Step | None) -> None:
    worker = step.worker.split("|") if step else []
    values: dict[str, Any] = FIELDS_OF_CELERY | {
        "status": status,
        "result": orjson.dumps(shape).decode(),
        "task_name": name,
        "task_args": orjson.dumps([str(step.pk)]).decode() if step else "[]",
        "task_kwargs": "{}",
        "date_done": timezone.now(),
        "date_started": step.started_at if step else None,
        "worker": f"{worker[0]}:{worker[2]}" if len(worker) > 2 else None,  # noqa: PLR2004
        "traceback": None,
    }
    results = TaskResult.objects.using(conf.database())
    if not results.filter(task_id=task_id).update(**values):
        results.create(task_id=task_id, **values)
