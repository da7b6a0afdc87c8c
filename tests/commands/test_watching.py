"""Watching a run whose database goes away for a moment."""

from __future__ import annotations

import io
import threading

import pytest
from django.core.management.base import OutputWrapper
from django.db import connections

from diskette import engine
from diskette.core.plan import State
from diskette.management.console import Console
from diskette.models import Run, Step

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "postgresql"])
PATIENCE_SECONDS = 20


@pytest.fixture
def active(settings) -> Run:
    settings.DISKETTE_DATABASE = "postgresql"
    run = Run(kind="dump", state=State.RUNNING)
    run.save(using="postgresql")
    return run


def test_a_watcher_connects_anew_and_sees_the_end(active):
    def end():
        Run.objects.using("postgresql").update(state=State.SUCCEEDED)
        connections.close_all()

    out, told = io.StringIO(), threading.Event()
    connections["postgresql"].ensure_connection()
    connections["postgresql"].connection.close()
    later = [threading.Timer(0.6, end), threading.Timer(PATIENCE_SECONDS, told.set)]
    for each in later:
        each.start()
    Console(OutputWrapper(out)).follow(active.pk, told)
    for each in later:
        each.cancel()
        each.join()
    assert "succeeded" in out.getvalue()
    assert not told.is_set()


def test_a_watcher_that_is_told_to_stop_does_so_without_a_database(active, monkeypatch):
    def gone(*_: object) -> Run:
        raise engine.DATABASE_GONE[0]("the connection is closed")

    told = threading.Event()
    told.set()
    console = Console(OutputWrapper(io.StringIO()))
    monkeypatch.setattr(console, "_tell", gone)
    with pytest.raises(engine.DATABASE_GONE):
        console.follow(active.pk, told)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(active, stream):
    Step.objects.using("postgresql").create(
        run=active,
        position=1,
        name="dump_application",
        subject="blog",
        state=State.RUNNING,
        done=1200,
        total=5000,
        unit="rows",
    )
    Run.objects.using("postgresql").update(percent=50.0)
    out, told = stream(), threading.Event()
    told.set()
    Console(OutputWrapper(out)).follow(active.pk, told)
    bar = "██████████░░░░░░░░░░  50.0 %  dump_application blog 1,200 of 5,000 rows"
    assert (bar in out.getvalue()) is out.isatty()
    assert ("\x1b" in out.getvalue()) is out.isatty()
