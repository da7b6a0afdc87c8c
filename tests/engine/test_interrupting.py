"""A statement that takes for ever is cut short when its run must end, but never in apply."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from diskette import engine
from diskette.core import plan
from diskette.core.report import StepReport

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "postgresql"])

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
    " SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
    "mysql": "SELECT benchmark(1000000000000, sha2('diskette', 512))",
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


def driven(run_id) -> None:
    try:
        engine.drive(run_id)
    finally:
        connections.close_all()


def test_what_changes_more_than_its_run_is_never_cut_short():
    assert {"apply", "publish_archive", "prune", "finish"}.isdisjoint(plan.INTERRUPTIBLE)
    assert set(plan.INTERRUPTIBLE) <= set(plan.NAMES)
