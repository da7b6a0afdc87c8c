"""Runs that end as a test says, and the servers that hear of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from diskette import engine
from diskette.core.exceptions import FindingsError
from diskette.core.plan import Kind
from diskette.core.report import Finding, Severity, StepReport
from diskette.models import Run
from tests.engine.conftest import begin, functions, workspace
from tests.telling import listening
from tests.telling.listening import Heard, Mailbox

__all__ = ["begin", "functions", "workspace"]


@pytest.fixture
def mailbox(settings) -> Iterator[Mailbox]:
    """A real SMTP server, to which the project's mail goes."""
    with listening.smtp() as mailbox:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        yield mailbox


@pytest.fixture
def web() -> Iterator[Heard]:
    with listening.http() as heard:
        yield heard


@pytest.fixture
def admins(settings) -> None:
    settings.ADMINS = [("Ada", "ada@example.com")]
    settings.SERVER_EMAIL = "site@example.com"


def finding(code: str, severity: Severity = Severity.ERROR, **fields) -> Finding:
    values = {"message": f"{code} was found.", "hint": f"cure {code}.", **fields}
    return Finding(code=code, severity=severity, **values)


@pytest.fixture
def end(begin) -> Callable[..., Run]:
    """A run of one step that ends so: `end("failed", finding("no-space"))`."""

    def end(state: str, *found: Finding, kind: Kind = Kind.DUMP) -> Run:
        def work(context):
            if state == "failed":
                raise FindingsError(found or [finding("no-space")])
            return StepReport(findings=found)

        run = begin("finish", kind=kind, finish=work)
        if state == "cancelled":
            return engine.cancel(run.pk)
        return engine.drive(run.pk)

    return end
