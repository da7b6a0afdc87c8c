"""A server that restarts is found again, also in a process that does a whole run."""

from __future__ import annotations

import pytest
from django.db import connections

from diskette import engine
from diskette.core.report import StepReport


@pytest.mark.django_db(transaction=True, databases=["default", "postgresql"])
def test_another_attempt_of_a_step_connects_anew(begin):
    connection, attempts = connections["postgresql"], []

    def work(context):
        attempts.append(context.step.attempt)
        connection.ensure_connection()
        if len(attempts) == 1:
            connection.connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return StepReport()

    run = engine.drive(begin("check_space", check_space=work).pk)
    assert attempts == [1, 2]
    assert run.state == "succeeded"
