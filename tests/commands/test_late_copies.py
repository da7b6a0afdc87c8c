"""A worker that was taken for dead goes on with a step that another has done since."""

from __future__ import annotations

import copy
import dataclasses
import fcntl
import threading

import pytest
from django.contrib.auth.models import User

from diskette import engine
from diskette.core.exceptions import Stopped, StorageError
from diskette.models import Run
from diskette.steps import load
from diskette.steps.context import Context, Pulse
from tests.commands.conftest import run


def as_late_copy(context: Context) -> Context:
    """The same step as it was taken before, told to stop by its heartbeat."""
    step = copy.copy(context.step)
    step.token -= 1
    return dataclasses.replace(context, step=step, pulse=Pulse(stop="its lease passed to another"))


@pytest.fixture
def around(monkeypatch):
    """Have something else done around a step, of a load if nothing else is said."""

    def around(name, act, kind="load"):
        work = engine.FUNCTIONS[kind, name]
        changed = {**engine.FUNCTIONS, (kind, name): lambda context: act(context, work)}
        monkeypatch.setattr(engine, "FUNCTIONS", changed)
        monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.0)

    return around


def test_what_was_extracted_since_is_not_removed(project, archive, around):
    def extract(context, work):
        report = work(context)
        with pytest.raises(Stopped):
            work(as_late_copy(context))
        return report

    around("extract_archive", extract)
    done = run("diskette_load", str(archive), "--no-input")
    assert done.code == 0, done.err


def test_files_are_not_swapped_by_two_at_once(project, archive, around):
    seen = []

    def apply(context, work):
        lock = (context.workspace.path / "swap.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)

        def release():
            seen.append((project.media / "a.txt").read_text())
            lock.close()

        timer = threading.Timer(0.5, release)
        timer.start()
        try:
            return work(context)
        finally:
            timer.join()

    around("apply", apply)
    (project.media / "a.txt").write_text("changed")
    assert run("diskette_load", str(archive), "--no-input").code == 0
    assert seen == ["changed"]
    assert (project.media / "a.txt").read_text() == "a"


def test_a_late_copy_swaps_nothing(project, archive, around):
    def apply(context, work):
        report = work(context)
        (project.media / "new.txt").write_text("written by the site since")
        late = as_late_copy(context)
        late = dataclasses.replace(late, confirm=lambda: engine._confirm(late.step))
        with pytest.raises(Stopped):
            work(late)
        return report

    around("apply", apply)
    assert run("diskette_load", str(archive), "--no-input").code == 0
    assert (project.media / "new.txt").exists()


def test_a_late_copy_takes_in_no_part(project, around):
    def assemble(context, work):
        late = as_late_copy(context)
        late = dataclasses.replace(late, confirm=lambda: engine._confirm(late.step))
        with pytest.raises(Stopped):
            work(late)
        return work(context)

    around("assemble_archive", assemble, kind="dump")
    done = run("diskette_dump")
    assert done.code == 0, done.err
    assert run("diskette_verify", done.last_line).code == 0


def test_what_it_stages_after_the_run_has_ended_is_cleared(project, archive, around):
    kept = []
    around("stage_storage", lambda context, work: kept.append(context) or work(context))
    assert run("diskette_load", str(archive), "--no-input").code == 0
    (context,) = kept
    context.workspace.create()
    (context.workspace.path / "half").write_bytes(b"half")
    live = project.media
    staged = live.with_name(f".{live.name}.diskette-{context.run.pk}.staged")
    staged.mkdir()
    late = as_late_copy(context)
    assert engine._settle(late.step, late.pulse, engine._Outcome(stopped=True)) == []
    assert project.left_over() == []


def test_files_that_cannot_follow_the_rows_at_once_follow_later(
    project, archive, around, monkeypatch
):
    attempts = []
    swap = load.storages.swap

    def hindered(live, run_id):
        attempts.append(live)
        if len(attempts) < 3:
            raise StorageError(str(live), "something writes to it all the time.")
        swap(live, run_id)

    monkeypatch.setattr(load.storages, "swap", hindered)
    around("apply", lambda context, work: work(context))
    User.objects.update(first_name="changed")
    (project.media / "a.txt").write_text("changed")
    done = run("diskette_load", str(archive), "--no-input")
    assert done.code == 0, done.err
    assert len(attempts) == 3
    assert User.objects.get().first_name == ""
    assert (project.media / "a.txt").read_text() == "a"


def test_a_run_is_cleared_where_it_was_begun(project, archive, around, settings, tmp_path):
    def fetch(context, work):
        settings.DISKETTE_WORKSPACE = tmp_path / "elsewhere"
        return work(context)

    around("fetch_archive", fetch)
    done = run("diskette_load", str(archive), "--no-input")
    assert done.code == 0, done.err
    assert project.left_over() == []
    assert Run.objects.first().workspace.root == project.workspace
