"""A statement that takes for ever is cut short when its run must end, but never in apply."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from django.db import connections
from django.db.models import F

from diskette import engine
from diskette.core import plan
from diskette.core.report import StepReport
from diskette.data import interrupting

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "postgresql"])

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
    " SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
    "mysql": "SELECT sleep(600)",
}
WITHIN_SECONDS = 10
"""A heartbeat is one; the statements last for minutes."""


@pytest.mark.parametrize("alias", ["default", "postgresql"])
def test_a_cancelled_step_does_not_wait_for_its_statement(begin, alias):
    asked = threading.Event()

    def work(context):
        with connections[alias].cursor() as cursor:
            asked.set()
            cursor.execute(ENDLESS[connections[alias].vendor])
        return StepReport()

    run = begin("check_integrity", "finish", check_integrity=work)
    driver = threading.Thread(target=driven, args=(run.pk,), daemon=True)
    driver.start()
    assert asked.wait(WITHIN_SECONDS)
    engine.cancel(run.pk)
    driver.join(WITHIN_SECONDS)
    assert not driver.is_alive()
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert not list(run.all_findings)


def test_a_file_that_django_does_not_know_is_cut_short_too(begin, tmp_path):
    asked = threading.Event()

    def work(context):
        with interrupting.counted_in(sqlite3.connect(tmp_path / "staging")) as file:
            asked.set()
            file.execute(ENDLESS["sqlite"]).fetchall()
        return StepReport()

    run = begin("load_application", "finish", load_application=work)
    driver = threading.Thread(target=driven, args=(run.pk,), daemon=True)
    driver.start()
    assert asked.wait(WITHIN_SECONDS)
    engine.cancel(run.pk)
    driver.join(WITHIN_SECONDS)
    assert not driver.is_alive()
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_statement_of_apply_is_never_cut_short(begin):
    """Not even where its step was given to another: then it commits nothing, by itself."""
    ended = []

    def work(context):
        context.step.run.steps.filter(name="apply").update(token=F("token") + 1)
        with connections["postgresql"].cursor() as cursor:
            cursor.execute("SELECT pg_sleep(3)")
        ended.append(context.pulse.stop)
        return StepReport()

    run = begin("apply", "finish", apply=work)
    assert engine.execute(run.steps.get(name="apply").pk) == []
    assert ended == ["its lease passed to another"]


def test_a_cut_that_comes_too_late_costs_the_step_nothing(begin, monkeypatch):
    """As one that a busy server hands on when the step is being settled."""
    settled = []

    def settle(*arguments):
        settled.append(arguments)
        if len(settled) == 1:
            with connections["default"].cursor() as cursor:
                threading.Timer(1, interrupt, [connections["default"]]).start()
                cursor.execute(ENDLESS[connections["default"].vendor])
        return settles(*arguments)

    settles = engine._settle
    monkeypatch.setattr(engine, "_settle", settle)
    monkeypatch.setattr(engine, "BEAT_SECONDS", 0.1)
    run = begin("check_integrity", "finish")
    engine.drive(run.pk)
    run.refresh_from_db()
    assert (run.state, len(settled)) == ("succeeded", 3)


def interrupt(connection) -> None:
    interrupting.INTERRUPTERS[connection.vendor](connection, connection.connection)


def driven(run_id) -> None:
    try:
        engine.drive(run_id)
    finally:
        connections.close_all()


def test_what_changes_more_than_its_run_is_never_cut_short():
    assert {"apply", "publish_archive", "prune", "finish"}.isdisjoint(plan.INTERRUPTIBLE)
    assert set(plan.INTERRUPTIBLE) <= set(plan.NAMES)
