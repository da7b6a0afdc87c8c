"""A run is its rows: what they promise whatever happens to messages and processes."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from diskette import engine
from diskette.core.exceptions import (
    InsufficientSpace,
    RunConflict,
    SnapshotLost,
    Stopped,
    TemporaryError,
    UsageError,
)
from diskette.core.plan import Kind
from diskette.core.report import Finding, PlannedStep, Severity, StepReport
from diskette.models import Lock, Run
from tests.engine.conftest import planned, states, the_step

pytestmark = pytest.mark.django_db(transaction=True)


def lapse(run: Run, name: str) -> None:
    """Let the lease of a step run out, as a silent worker's does."""
    run.steps.filter(name=name).update(lease_until=timezone.now() - timedelta(seconds=1))


def taken(run: Run, name: str):
    """A step that some worker took and never came back with."""
    step = engine._take(the_step(run, name).pk)
    assert step is not None
    return step


def test_steps_are_done_in_the_order_of_their_positions(begin):
    done = []

    def work(context):
        done.append(str(context.step))
        return StepReport()

    run = begin(
        "check_space",
        "assemble_archive",
        "finish",
        check_space=work,
        assemble_archive=work,
        finish=work,
    )
    assert engine.drive(run.pk).state == "succeeded"
    assert done == ["check_space", "assemble_archive", "finish"]


def test_steps_of_one_position_are_all_due_at_once(begin):
    run = begin(
        *planned("check_space"), *planned("dump_application:a", "dump_application:b", position=1)
    )
    due = engine.execute(the_step(run, "check_space").pk)
    assert [step.subject for step in due] == ["a", "b"]


def test_the_last_of_parallel_steps_makes_the_next_one_due(begin):
    run = begin(
        *planned("dump_application:a", "dump_application:b", position=0),
        PlannedStep(position=1, name="assemble_archive"),
    )
    first, second = run.steps.filter(name="dump_application")
    assert engine.execute(first.pk) == []
    assert [str(step) for step in engine.execute(second.pk)] == ["assemble_archive"]


def test_a_doubled_message_does_nothing(begin):
    calls = []
    run = begin("check_space", "finish", check_space=lambda c: calls.append(1) or StepReport())
    step = the_step(run, "check_space")
    engine.execute(step.pk)
    assert engine.execute(step.pk) == []
    assert calls == [1]


def test_a_message_for_an_unknown_step_does_nothing(begin):
    run = begin("check_space")
    assert engine.execute(run.pk) == []


def test_a_second_run_is_refused_and_recorded_as_skipped(begin):
    first = begin("check_space")
    with pytest.raises(RunConflict) as refusal:
        engine.create(Kind.LOAD, {}, planned("fetch_archive"), inline=True)
    assert str(first.pk) in str(refusal.value)
    skipped = Run.objects.get(pk=refusal.value.run)
    assert skipped.state == "skipped"
    assert not skipped.steps.exists()


def test_the_lock_is_free_again_once_a_run_has_ended(begin):
    engine.drive(begin("check_space").pk)
    assert not Lock.objects.exists()
    assert engine.drive(begin("check_space").pk).state == "succeeded"


def test_a_temporary_error_is_tried_three_times_and_no_more(begin):
    calls = []

    def work(context):
        calls.append(context.step.attempt)
        raise TemporaryError("the server restarts")

    run = engine.drive(begin("check_space", "finish", check_space=work).pk)
    assert calls == [1, 2, 3]
    assert run.state == "failed"
    assert states(run) == {"check_space": "failed", "finish": "cancelled"}


def test_another_error_ends_the_run_with_what_it_says(begin):
    def work(context):
        raise InsufficientSpace("/srv", 2_400_000_000, 1_100_000_000)

    run = engine.drive(begin("check_space", "finish", check_space=work).pk)
    (finding,) = run.all_findings
    assert run.state == "failed"
    assert finding.code == "no-space"
    assert "needs 2.4 GB in /srv, 1.1 GB free" in finding.message


def test_a_defect_ends_the_run_and_names_itself(begin, caplog):
    def work(context):
        return 1 / 0

    run = engine.drive(begin("check_space", check_space=work).pk)
    (finding,) = run.all_findings
    assert finding.code == "unexpected"
    assert "ZeroDivisionError" in finding.message


def test_a_step_that_took_longer_than_its_worker_allows_says_so(begin):
    def work(context):
        raise SoftTimeLimitExceeded

    (finding,) = engine.drive(begin("check_space", check_space=work).pk).all_findings
    assert finding.code == "time-limit"
    assert "task_soft_time_limit" in finding.message


def test_a_step_that_needed_more_memory_than_it_may_have_says_so(begin):
    def work(context):
        raise MemoryError

    (finding,) = engine.drive(begin("check_space", check_space=work).pk).all_findings
    assert finding.code == "no-memory"
    assert "more memory" in finding.message


def test_steps_found_out_about_later_are_done_too(begin):
    def work(context):
        return StepReport(then=planned("finish", position=7))

    run = engine.drive(begin("check_space", check_space=work).pk)
    assert states(run) == {"check_space": "succeeded", "finish": "succeeded"}


def test_stats_findings_and_output_are_kept(begin):
    finding = Finding(code="order", severity=Severity.WARNING, message="a before b")

    def work(context):
        return StepReport(stats={"rows": 3}, findings=[finding], output={"path": "/x"})

    run = engine.drive(begin("check_space", check_space=work).pk)
    step = the_step(run, "check_space")
    assert step.stats["rows"] == 3
    assert step.output == {"path": "/x"}
    assert run.all_findings == (finding,)


def test_a_step_whose_lease_lapsed_is_given_to_another(begin):
    run = begin("check_space", "finish", inline=False)
    taken(run, "check_space")
    assert engine.sweep() == []
    lapse(run, "check_space")
    (again,) = engine.sweep()
    assert str(again) == "check_space"
    engine.execute(again.pk)
    assert the_step(run, "check_space").attempt == 2


def test_a_worker_that_wakes_up_late_can_finish_nothing(begin):
    run = begin("check_space", "finish", inline=False)
    late = taken(run, "check_space")
    lapse(run, "check_space")
    engine.sweep()
    report = engine._Outcome(report=StepReport(stats={"rows": 666}))
    assert engine._settle(late, engine.Pulse(), report) == []
    assert the_step(run, "check_space").state == "ready"
    with pytest.raises(Stopped):
        engine._confirm(late)


def test_a_step_without_attempts_left_ends_the_run(begin):
    run = begin("check_space", "finish", inline=False)
    for _ in range(3):
        taken(run, "check_space")
        lapse(run, "check_space")
        engine.sweep()
    run.refresh_from_db()
    assert run.state == "failed"
    assert [finding.code for finding in run.all_findings] == ["lease-lost"]
    assert not Lock.objects.exists()


def test_a_step_that_was_never_asked_for_is_sent_by_the_sweep(begin, settings):
    run = begin("check_space", inline=False)
    assert engine.sweep() == []
    run.steps.update(due_at=timezone.now() - timedelta(seconds=1))
    assert [str(step) for step in engine.sweep()] == ["check_space"]
    assert engine.sweep() == []


def test_an_inline_run_whose_process_went_silent_is_failed(begin):
    run = begin("check_space", "finish")
    Run.objects.update(driver="elsewhere", driver_until=timezone.now() - timedelta(seconds=1))
    engine.sweep()
    run.refresh_from_db()
    assert run.state == "failed"
    assert [finding.code for finding in run.all_findings] == ["lease-lost"]


def test_an_inline_run_whose_process_is_alive_is_left_alone(begin):
    run = begin("check_space", "finish")
    engine.sweep()
    run.refresh_from_db()
    assert run.state == "running"


def test_a_killed_apply_that_changed_nothing_is_not_repeated(begin):
    run = begin("apply", "finish", inline=False, kind=Kind.LOAD)
    taken(run, "apply")
    lapse(run, "apply")
    engine.sweep()
    run.refresh_from_db()
    assert run.state == "failed"


def test_an_applied_load_is_only_ever_finished(begin):
    run = begin("apply", "finish", kind=Kind.LOAD)
    taken(run, "apply")
    Run.objects.update(applied_at=timezone.now(), driver="elsewhere", driver_until=timezone.now())
    lapse(run, "apply")
    engine.sweep()
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert states(run) == {"apply": "succeeded", "finish": "succeeded"}


def test_a_lost_snapshot_makes_all_data_parts_anew(begin):
    calls = []

    def dump(context):
        calls.append(str(context.step))
        if calls.count("dump_application b") == 1 and context.subject == "b":
            raise SnapshotLost("gone")
        return StepReport()

    def snapshot(context):
        calls.append("open_snapshot")
        return StepReport()

    run = begin(
        *planned("open_snapshot"),
        *planned("dump_application:a", "dump_application:b", position=1),
        dump_application=dump,
        open_snapshot=snapshot,
    )
    assert engine.drive(run.pk).state == "succeeded"
    assert calls == ["open_snapshot", "dump_application a", "dump_application b"] * 2


def test_cancelling_ends_a_run_that_nobody_works_on(begin):
    run = begin("check_space", inline=False)
    assert engine.cancel(run.pk).state == "cancelled"
    assert states(run) == {"check_space": "cancelled"}
    assert not Lock.objects.exists()


def test_cancelling_stops_a_step_within_a_heartbeat(begin, settings):
    at_work = threading.Event()

    def work(context):
        at_work.set()
        while True:
            context.tick(1)

    def cancel():
        at_work.wait()
        engine.cancel(run.pk)
        engine.connections.close_all()

    run = begin("check_space", "finish", check_space=work)
    canceller = threading.Thread(target=cancel)
    canceller.start()
    assert engine.drive(run.pk).state == "cancelled"
    canceller.join()
    assert states(run) == {"check_space": "cancelled", "finish": "cancelled"}


def test_cancelling_is_refused_once_a_load_is_being_applied(begin):
    run = begin("apply", kind=Kind.LOAD, inline=False)
    taken(run, "apply")
    with pytest.raises(UsageError, match="can only be finished"):
        engine.cancel(run.pk)


def test_cancelling_an_ended_run_says_so(begin):
    run = engine.drive(begin("check_space").pk)
    with pytest.raises(UsageError, match="already ended"):
        engine.cancel(run.pk)


def test_an_interrupt_cancels_the_run_and_clears_its_workspace(begin, workspace):
    def work(context):
        (context.workspace.path / "half").write_bytes(b"half")
        raise KeyboardInterrupt

    run = begin("check_space", "finish", check_space=work)
    with pytest.raises(KeyboardInterrupt):
        engine.drive(run.pk)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert not (workspace / str(run.pk)).exists()


def test_an_interrupt_after_the_data_was_applied_lets_the_load_finish(begin):
    def work(context):
        if context.step.attempt == 1:
            Run.objects.filter(pk=context.run.pk).update(applied_at=timezone.now())
            raise KeyboardInterrupt
        return StepReport()

    run = begin("apply", "finish", kind=Kind.LOAD, apply=work)
    with pytest.raises(KeyboardInterrupt):
        engine.drive(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"


def test_a_failing_step_stops_those_beside_it(begin):
    failed = threading.Event()

    def work(context):
        if context.subject == "a":
            raise UsageError("no")
        failed.set()
        while True:
            context.tick(1)

    run = begin(
        *planned("dump_application:a", "dump_application:b", position=0),
        inline=False,
        dump_application=work,
    )
    a, b = run.steps.all()

    def beside():
        engine.execute(b.pk)
        engine.connections.close_all()

    other = threading.Thread(target=beside)
    other.start()
    failed.wait()
    engine.execute(a.pk)
    other.join()
    run.refresh_from_db()
    assert run.state == "failed"
    assert states(run) == {"dump_application a": "failed", "dump_application b": "cancelled"}
