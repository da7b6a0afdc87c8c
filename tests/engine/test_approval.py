"""A load is begun from an approved row: once, and not for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import shared_task
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.utils import timezone

import diskette
from diskette import engine, messages, tasks
from diskette.core.exceptions import NotAllowed
from diskette.core.plan import Kind
from diskette.core.report import StepReport
from diskette.models import Lock, Run
from tests.commands.conftest import archive, project
from tests.engine.conftest import planned, states, the_step

__all__ = ["archive", "project"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch):
    """What is sent to workers: name of the task and queue; nothing arrives."""
    sent = []
    monkeypatch.setattr(
        "diskette.messages.current_app.send_task",
        lambda name, *_, queue, **__: sent.append((name.removeprefix("diskette."), queue)),
    )
    return sent


def late(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_a_load_is_approved_by_its_caller_for_a_while_and_used_by_its_first_step(begin, settings):
    settings.DISKETTE_LOAD_EXPIRES = 600
    run = begin("fetch_archive", "apply", kind=Kind.LOAD, inline=False)
    run.refresh_from_db()
    assert run.expires_at - run.approved_at == timedelta(minutes=10)
    assert run.used_at is None
    engine.execute(the_step(run, "fetch_archive").pk)
    run.refresh_from_db()
    assert run.approved_at <= run.used_at < run.expires_at


def test_a_dump_needs_no_approval(begin):
    run = begin("finish", inline=False)
    assert (run.approved_at, run.expires_at) == (None, None)
    engine.execute(the_step(run, "finish").pk)
    run.refresh_from_db()
    assert (run.state, run.used_at) == ("succeeded", None)


def test_a_run_that_a_task_of_the_project_begins_is_in_its_name(project, archive, sent):
    @shared_task(name="shop.restore")
    def restore() -> str:
        return str(diskette.load("latest", enqueue=True).id)

    assert Run.objects.get(pk=restore.apply().get()).requested_by == "task shop.restore"


def test_a_name_that_is_too_long_for_its_column_is_cut(project, sent):
    handle = diskette.dump(enqueue=True, requested_by="x" * 300)
    assert handle.run.requested_by == "x" * 200


@pytest.mark.parametrize(
    "change",
    [
        {"approved_at": None},
        {"expires_at": None},
        {"expires_at": timezone.now() - timedelta(seconds=1)},
    ],
)
def test_no_message_begins_a_load_without_a_valid_approval(begin, change):
    run = begin("apply", kind=Kind.LOAD, inline=False, apply=lambda _: pytest.fail("it began"))
    Run.objects.filter(pk=run.pk).update(**change)
    assert engine.execute(the_step(run, "apply").pk) == []
    assert states(run) == {"apply": "ready"}


def test_a_load_that_has_begun_goes_on_though_its_approval_is_over(begin):
    run = begin("fetch_archive", "apply", kind=Kind.LOAD, inline=False)
    engine.execute(the_step(run, "fetch_archive").pk)
    late(run)
    assert engine.sweep() == []
    engine.execute(the_step(run, "apply").pk)
    run.refresh_from_db()
    assert run.state == "succeeded"


def test_the_sweep_ends_a_load_that_no_worker_took_and_says_why(begin, settings):
    settings.DISKETTE_LOAD_QUEUE = "loads"
    run = begin("fetch_archive", kind=Kind.LOAD, inline=False)
    engine.sweep()
    assert Run.objects.get(pk=run.pk).state == "running"
    late(run)
    assert engine.sweep() == []
    run.refresh_from_db()
    (finding,) = run.all_findings
    assert (run.state, finding.code, finding.severity) == ("failed", "load-expired", "error")
    assert "within an hour" in finding.message
    assert "-Q loads" in finding.hint
    assert not Lock.objects.exists()


def test_a_step_is_asked_for_by_its_own_name_only(begin):
    run = begin("apply", kind=Kind.LOAD, inline=False, apply=lambda _: pytest.fail("it began"))
    for name in tasks.STEP_TASKS.keys() - {"apply"}:
        tasks.STEP_TASKS[name](str(the_step(run, "apply").pk))
    assert states(run) == {"apply": "ready"}


def test_no_message_takes_a_step_of_a_run_that_a_command_does(begin):
    run = begin("finish", finish=lambda _: pytest.fail("it began"))
    tasks.STEP_TASKS["finish"](str(the_step(run, "finish").pk))
    assert states(run) == {"finish": "ready"}


def test_every_step_of_a_load_goes_to_its_queue_and_nothing_else_does(begin, settings, sent):
    settings.DISKETTE_QUEUE, settings.DISKETTE_LOAD_QUEUE = "dumps", "loads"
    names = ("fetch_archive", "check_integrity", "safety_dump", "apply", "finish")
    run = begin(*names, kind=Kind.LOAD, inline=False)
    messages.send(run.steps.filter(state="ready"))
    while ready := list(run.steps.filter(state="ready")):
        run.steps.filter(state="ready").update(due_at=timezone.now() - timedelta(seconds=1))
        messages.publish(engine.sweep())  # as lost ones are
        messages.publish(engine.execute(ready[0].pk, asked_for=ready[0].name))
    twice = [name for name in names for _ in range(2)]  # as it is due, and by the sweep
    assert sorted(name for name, _ in sent) == sorted(twice)
    assert {queue for _, queue in sent} == {"loads"}
    sent.clear()
    dump = begin("open_snapshot", "finish", inline=False)
    messages.send(dump.steps.filter(state="ready"))
    messages.publish(engine.execute(the_step(dump, "open_snapshot").pk, asked_for="open_snapshot"))
    assert sent == [("open_snapshot", "dumps"), ("finish", "dumps")]


def test_a_child_of_a_load_is_done_by_its_step_and_sends_nothing(begin, settings, sent):
    def dump(context):
        context.nested({}, planned("check_space"))
        return StepReport()

    run = begin("safety_dump", kind=Kind.LOAD, inline=False, safety_dump=dump)
    messages.publish(engine.execute(the_step(run, "safety_dump").pk))
    assert sent == []
    assert Run.objects.get(parent=run).state == "succeeded"


def a_user(name: str, *permissions: str) -> User:
    user = User.objects.create_user(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return User.objects.get(pk=user.pk)  # without what was cached


def test_a_user_needs_the_permission_and_the_run_bears_their_name(project, archive):
    keeper = a_user("keeper", "load_archive")
    handle = diskette.load(archive.name, user=keeper)
    assert (handle.state, handle.run.requested_by) == ("succeeded", "keeper")


@pytest.mark.parametrize("permissions", [(), ("dump_archive", "view_run", "change_run")])
def test_a_user_without_the_permission_is_refused_before_anything_is(project, archive, permissions):
    runs = Run.objects.count()
    with pytest.raises(NotAllowed, match=r"^visitor may not do that: .*diskette\.load_archive"):
        diskette.load(archive.name, user=a_user("visitor", *permissions))
    assert Run.objects.count() == runs


def test_nobody_in_particular_may_neither_dump_nor_load(project, archive):
    for start in (diskette.dump, lambda **user: diskette.load(archive.name, **user)):
        with pytest.raises(NotAllowed, match=r"^Nobody in particular may not"):
            start(user=AnonymousUser())
