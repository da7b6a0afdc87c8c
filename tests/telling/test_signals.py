"""Each end of a run is sent once, after its commit, whoever ended it."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

import diskette
from diskette import engine, signals
from diskette.core.exceptions import RunConflict, UsageError
from diskette.core.plan import Kind
from diskette.core.workspace import Workspace
from diskette.models import Run
from tests.engine.conftest import planned
from worker.servers import await_condition

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {
    name: getattr(signals, name)
    for name in (
        *("run_started", "run_ended", "dump_succeeded", "dump_failed"),
        *("load_succeeded", "load_failed", "drill_succeeded", "drill_failed"),
    )
}


@pytest.fixture
def sent():
    """Names of signals and states of their runs, in the order they were sent."""
    heard: list[tuple[str, str]] = []

    def listener(name):
        def listen(*, run, **_):
            # After the commit: another transaction sees what it is told.
            assert not transaction.get_connection().in_atomic_block
            assert Run.objects.get(pk=run.pk).state == run.state
            heard.append((name, run.state))

        return listen

    listeners = {name: listener(name) for name in ALL}
    for name, signal in ALL.items():
        signal.connect(listeners[name])
    yield heard
    for name, signal in ALL.items():
        signal.disconnect(listeners[name])


@pytest.mark.parametrize("kind", [Kind.DUMP, Kind.LOAD, Kind.DRILL])
@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_run_tells_its_start_and_its_end_once(end, sent, kind, state):
    end(state, kind=kind)
    engine.sweep()
    assert sent == [
        ("run_started", "running"),
        ("run_ended", state),
        (f"{kind}_{state}", state),
    ]


def test_a_cancelled_run_has_only_ended(end, sent):
    end("cancelled")
    assert sent == [("run_started", "running"), ("run_ended", "cancelled")]


def test_a_run_that_was_refused_has_ended_without_a_start(begin, sent):
    begin("finish")
    with pytest.raises(RunConflict):
        engine.create(Kind.DUMP, {}, planned("finish"), inline=True)
    assert sent[1:] == [("run_ended", "skipped")]


def test_a_run_that_could_not_be_planned_has_failed(begin, sent):
    engine.refuse(Kind.DUMP, {}, UsageError("no such application"))
    assert sent == [("run_ended", "failed"), ("dump_failed", "failed")]


def test_a_sweep_that_gives_a_run_up_tells_so(begin, sent):
    run = begin("finish")
    Run.objects.filter(pk=run.pk).update(driver_until=timezone.now() - timedelta(seconds=1))
    engine.sweep()
    engine.sweep()
    assert sent[1:] == [("run_ended", "failed"), ("dump_failed", "failed")]


def test_an_end_that_its_process_could_not_tell_is_told_by_one_sweep(end, sent, monkeypatch):
    monkeypatch.setattr(engine, "_tell", lambda *_: None)  # as if killed after the commit
    run = end("succeeded")
    monkeypatch.undo()
    engine.sweep()
    assert sent == [("run_started", "running")]  # it may be telling at this moment
    Run.objects.filter(pk=run.pk).update(teller="host|boot|1|1", tell_at=timezone.now())
    engine.sweep()
    engine.sweep()
    assert sent[1:] == [("run_ended", "succeeded"), ("dump_succeeded", "succeeded")]
    assert Run.objects.get(pk=run.pk).tell_at is None


def test_a_project_that_was_there_before_hears_nothing_of_old_runs(sent):
    Run.objects.create(kind="dump", state="failed", finished_at=timezone.now())
    engine.sweep()
    assert sent == []


def test_a_receiver_that_raises_is_a_finding_and_fails_nothing(end, sent, caplog):
    def clear_caches(**_):
        raise RuntimeError("the cache is away")

    signals.dump_succeeded.connect(clear_caches)
    try:
        run = end("succeeded")
    finally:
        signals.dump_succeeded.disconnect(clear_caches)
    assert run.state == "succeeded"
    (found,) = run.all_findings
    assert (found.code, found.severity) == ("receiver-failed", "warning")
    assert "test_signals.test_a_receiver" in found.message
    assert found.message.endswith(
        "clear_caches of a signal failed: RuntimeError: the cache is away"
    )
    (record,) = [each for each in caplog.records if each.name == "diskette.signals"]
    assert record.exc_info
    assert record.run == str(run.pk)
    assert ("dump_succeeded", "succeeded") in sent


def test_a_receiver_that_raises_at_the_start_is_a_finding_too(end, sent):
    def warm_up(**_):
        raise RuntimeError("too cold")

    signals.run_started.connect(warm_up)
    try:
        run = end("succeeded")
    finally:
        signals.run_started.disconnect(warm_up)
    assert run.state == "succeeded"
    (found,) = run.all_findings
    assert found.code == "receiver-failed"
    assert "RuntimeError: too cold" in found.message


def test_every_logger_adds_the_fields():
    for path in Path(diskette.__file__).parent.rglob("*.py"):
        if "\nlogger = " in (text := path.read_text()):
            assert "\nlogger = logger_of(__name__)\n" in text, path


def test_what_could_not_be_cleared_is_logged_of_its_run(begin, caplog, workspace, monkeypatch):
    def is_busy(self):
        raise OSError("device or resource busy")

    run = begin("finish")
    monkeypatch.setattr(Workspace, "remove", is_busy)
    engine.cancel(run.pk)
    (record,) = [each for each in caplog.records if "could not be cleared" in each.getMessage()]
    assert (record.run, record.kind) == (str(run.pk), "dump")


def test_every_record_of_a_step_says_of_which_run_and_step_it_is(begin, caplog):
    caplog.set_level(logging.INFO, logger="diskette")
    run = begin(*planned("dump_application:blog"))
    engine.drive(run.pk)
    ours = [each for each in caplog.records if each.name.startswith("diskette")]
    about = {(each.run, each.kind, each.step, each.subject) for each in ours}
    assert about == {
        (str(run.pk), "dump", "dump_application", "blog"),
        (str(run.pk), "dump", "", ""),
    }


def test_what_a_heartbeat_logs_is_about_its_step(begin, functions, caplog, monkeypatch):
    from diskette.core.report import StepReport

    def away(context):
        raise engine.OperationalError("gone")

    def work(context):
        assert await_condition(lambda: bool(caplog.records), seconds=10)
        return StepReport()

    monkeypatch.setattr(engine, "_renew", away)
    monkeypatch.setattr(engine, "BEAT_SECONDS", 0.05)
    run = begin("finish", finish=work)
    engine.drive(run.pk)
    warned = next(each for each in caplog.records if "no heartbeat" in each.getMessage())
    assert (warned.run, warned.step) == (str(run.pk), "finish")


def test_a_record_about_no_run_has_the_fields_empty(caplog):
    from diskette import messages

    messages.logger.warning("quiet")
    assert (caplog.records[0].run, caplog.records[0].step) == ("", "")
