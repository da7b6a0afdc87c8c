"""Runs are kept for DISKETTE_HISTORY and listed by what is asked for; damage is told."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from django_celery_results.models import TaskResult

from diskette import engine, signals
from diskette.core.plan import Kind
from diskette.core.report import Severity
from diskette.models import Archive, Run, Step
from tests.commands.conftest import archive, project, run
from tests.telling.conftest import finding

__all__ = ["archive", "project"]

pytestmark = pytest.mark.django_db(transaction=True)


def age(*runs: Run, days: float) -> None:
    then = timezone.now() - timedelta(days=days)
    ids = [each.pk for each in runs]
    Run.objects.filter(pk__in=ids).update(created_at=then, finished_at=then)


def left() -> set:
    engine.sweep()
    return set(Run.objects.values_list("pk", flat=True))


# -- forgetting -------------------------------------------------------------------------


def test_runs_older_than_the_history_go_with_steps_and_results(end, settings):
    settings.DISKETTE_HISTORY = 30
    old, failed, newest = end("succeeded"), end("failed"), end("succeeded")
    child = Run.objects.create(kind="dump", state="succeeded", parent=old)
    age(old, failed, child, days=31)
    assert left() == {newest.pk}
    assert set(Step.objects.values_list("run", flat=True)) == {newest.pk}
    kept = {
        task_id.split("/")[0] for task_id in TaskResult.objects.values_list("task_id", flat=True)
    }
    assert kept == {str(newest.pk)}


def test_results_of_others_stay(end, settings):
    settings.DISKETTE_HISTORY = 30
    TaskResult.objects.create(task_id="of the project's own", status="SUCCESS")
    age(end("failed"), days=31)
    assert left() == set()
    assert [each.task_id for each in TaskResult.objects.all()] == ["of the project's own"]


def test_the_last_success_of_each_kind_and_what_is_not_told_stay(end, settings):
    settings.DISKETTE_HISTORY = 30
    dumped, drilled = end("succeeded"), end("succeeded", kind=Kind.DRILL)
    untold = end("failed")
    Run.objects.filter(pk=untold.pk).update(tell_at=timezone.now() + timedelta(hours=1))
    age(dumped, drilled, untold, days=400)
    assert left() == {dumped.pk, drilled.pk, untold.pk}


def test_the_run_of_an_archive_stays_until_that_is_removed(end, settings):
    settings.DISKETTE_HISTORY = 30
    made, within, newest = end("succeeded"), end("succeeded", kind=Kind.LOAD), end("succeeded")
    end("succeeded", kind=Kind.LOAD)
    safety = Run.objects.create(kind="dump", state="succeeded", parent=within)
    for each in (made, safety):
        Archive.objects.create(
            path=f"/a/{each.pk}", name="a", label="a", run=each, instant=timezone.now(), bytes=1
        )
    age(made, within, safety, days=31)
    assert {made.pk, within.pk, safety.pk, newest.pk} < left()
    Archive.objects.update(removed_at=timezone.now())
    assert not {made.pk, within.pk, safety.pk} & left()


def test_a_sweep_forgets_so_much_and_no_more(end, settings, monkeypatch):
    monkeypatch.setattr(engine, "FORGOTTEN_AT_ONCE", 2)
    runs = [end("failed") for _ in range(3)]
    age(*runs, days=366)
    assert len(left()) == 1
    assert left() == set()


def test_without_a_limit_everything_is_kept(end, settings):
    settings.DISKETTE_HISTORY = None
    old = end("failed")
    age(old, days=4000)
    assert left() == {old.pk}


# -- listing ----------------------------------------------------------------------------


def listed(*words: str) -> list[str]:
    done = run("diskette_status", *words, format="json")
    assert done.code == 0, done.err
    return [each["run"] for each in json.loads(done.out)]


def test_runs_are_listed_by_kind_state_finding_and_age(end):
    drilled = str(end("failed", finding("drill-failed"), kind=Kind.DRILL).pk)
    flawed = str(end("succeeded", finding("hidden-rows", Severity.WARNING)).pk)
    failed = end("failed")
    assert listed() == [str(failed.pk), flawed, drilled]
    assert listed("--kind", "drill") == [drilled]
    assert listed("--state", "failed") == [str(failed.pk), drilled]
    assert listed("--finding", "hidden-rows") == [flawed]
    assert listed("--limit", "1") == [str(failed.pk)]
    age(failed, days=3)
    assert listed("--days", "2", "--kind", "dump") == [flawed]
    assert run("diskette_status", "--state", "cancelled").last_line == "No such runs."


@pytest.mark.parametrize(
    "words", [("--limit", "0"), ("--days", "-1"), ("latest", "--kind", "dump")]
)
def test_what_cannot_be_listed_is_refused(end, words):
    end("succeeded")
    assert run("diskette_status", *words).code == 2


# -- archives verified ------------------------------------------------------------------


def test_damage_is_told_once_and_once_when_it_is_over(archive, admins):
    heard = []

    def listen(sender, **facts):
        heard.append((facts["path"].name, facts["state"], facts["was_damaged"]))

    whole = archive.read_bytes()
    signals.archive_verified.connect(listen)
    try:
        for content in (whole, whole[:-2000], whole[:-2000], whole):
            archive.write_bytes(content)
            run("diskette_verify", archive.name)
    finally:
        signals.archive_verified.disconnect(listen)
    assert heard == [
        (archive.name, "whole", False),
        (archive.name, "damaged", False),
        (archive.name, "damaged", True),
        (archive.name, "whole", True),
    ]
    assert [each.subject for each in mail.outbox] == [
        f"[Django] Diskette: archive {archive.name} of tests is damaged",
        f"[Django] Diskette: archive {archive.name} of tests is whole again",
    ]
    assert "  cure: " in mail.outbox[0].body


def test_a_receiver_that_raises_does_not_hinder_verifying(archive):
    def listen(**_):
        raise RuntimeError("the pager is away")

    signals.archive_verified.connect(listen)
    try:
        done = run("diskette_verify", archive.name)
    finally:
        signals.archive_verified.disconnect(listen)
    assert done.code == 0
    assert "[receiver-failed]" in done.out
