"""TaskResults tell a run's whole story to whoever has only django-celery-results."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest
from celery.result import AsyncResult
from django_celery_results.models import TaskResult

from diskette import engine
from diskette.core.exceptions import InsufficientSpace, RunFailed
from diskette.core.report import Finding, Severity, StepReport
from tests.engine.conftest import planned

pytestmark = pytest.mark.django_db(transaction=True)


def stored(task_id: str) -> tuple[str, dict]:
    row = TaskResult.objects.get(task_id=task_id)
    return row.status, json.loads(row.result)


def test_a_step_leaves_its_report_under_its_own_id(begin):
    finding = Finding(code="order", severity=Severity.WARNING, message="a before b", keys=(1,))

    def work(context):
        context.expect(5, "rows")
        context.tick(5)
        return StepReport(stats={"rows": 5, "bytes": 83}, findings=[finding])

    run = engine.drive(begin("dump_application:blog", dump_application=work).pk)
    status, result = stored(f"{run.pk}/dump_application/blog")
    seconds = result["stats"].pop("seconds")
    assert status == "SUCCESS"
    assert seconds >= 0
    assert result == {
        "run": str(run.pk),
        "kind": "dump",
        "step": "dump_application",
        "subject": "blog",
        "state": "succeeded",
        "attempt": 1,
        "progress": {"done": 5, "total": 5, "unit": "rows", "percent": 100.0},
        "stats": {"rows": 5, "bytes": 83},
        "findings": [finding.to_json()],
    }


def test_a_step_that_counts_nothing_is_whole_when_it_is_done(begin):
    run = engine.drive(begin("check_space").pk)
    _, result = stored(f"{run.pk}/check_space")
    assert result["progress"]["percent"] == 100.0


def test_a_run_leaves_the_count_of_its_steps(begin):
    run = engine.drive(begin("check_space", "finish").pk)
    status, result = stored(str(run.pk))
    assert status == "SUCCESS"
    assert result["state"] == "succeeded"
    assert result["percent"] == 100.0
    assert result["steps"] == {"total": 2, "succeeded": 2}


def test_progress_is_told_while_a_step_works(begin):
    seen = threading.Event()

    def work(context):
        context.expect(10, "rows")
        context.tick(4)
        while not seen.is_set():
            context.tick(0)
            watch(context)
        return StepReport()

    def watch(context):
        status, result = stored(context.step.result_id)
        if result["progress"]["done"] == 4:
            assert status == "PROGRESS"
            assert result["state"] == "running"
            assert result["progress"]["percent"] == 40.0
            seen.set()

    run = engine.drive(begin("check_space", check_space=work).pk)
    assert run.state == "succeeded"


def test_a_failure_comes_back_from_celery_with_type_and_fields(begin):
    def work(context):
        raise InsufficientSpace("/srv", 20, 10)

    run = engine.drive(begin("check_space", check_space=work).pk)
    status, result = stored(f"{run.pk}/check_space")
    assert status == "FAILURE"
    assert result["findings"][0]["code"] == "no-space"
    error = AsyncResult(f"{run.pk}/check_space", backend=_backend()).result
    assert isinstance(error, InsufficientSpace)
    assert (error.directory, error.needed, error.free) == ("/srv", 20, 10)
    assert isinstance(AsyncResult(str(run.pk), backend=_backend()).result, RunFailed)


def test_a_cancelled_run_is_ready_and_revoked(begin):
    run = begin("check_space", inline=False)
    engine.cancel(run.pk)
    assert stored(str(run.pk))[0] == "REVOKED"
    assert AsyncResult(str(run.pk), backend=_backend()).ready()


def test_whoever_else_stores_a_result_under_a_runs_id_changes_nothing(begin):
    run = engine.drive(begin("check_space").pk)
    ids = [str(run.pk), f"{run.pk}/check_space"]
    before = [stored(task_id) for task_id in ids]
    for task_id in (*ids, "another"):
        _backend().store_result(task_id, "forged", "STARTED")
        _backend().store_result(task_id, "forged", "SUCCESS")
    assert [stored(task_id) for task_id in ids] == before
    assert stored("another") == ("SUCCESS", "forged")


@pytest.mark.parametrize(("name", "kept"), [("diskette.sweep", False), ("another", True)])
def test_a_sweep_that_was_cut_off_leaves_no_open_result(name, kept):
    request = SimpleNamespace(task=name, args=[], kwargs={}, hostname="one")
    backend = _backend()
    backend.app.conf.result_extended = True
    backend.store_result("some id", "cancelled by Celery", "RETRY", request=request)
    assert TaskResult.objects.filter(task_id="some id").exists() == kept


def test_the_percent_of_a_run_never_falls(begin):
    percents = []

    def note(sender, run, **_):
        percents.append(run.percent)

    def work(context):
        return StepReport(then=planned("apply", "finish", position=9))

    engine.run_changed.connect(note)
    engine.drive(begin("check_space", check_space=work).pk)
    engine.run_changed.disconnect(note)
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert len(percents) > 4


def _backend():
    from celery import Celery
    from django_celery_results.backends import DatabaseBackend

    return DatabaseBackend(app=Celery("reader"))
