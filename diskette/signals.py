"""What a project may listen to: the beginning and the end of each run, and archives verified.

Sent after the commit, with `run`, its row, read anew; the sender is the model Run. Each end
is sent once, by the process that ended the run; only where that one is killed at it does a
later sweep send it again. Whatever a receiver raises is logged and told as a finding of the
run, which has ended as it did. Long work belongs in a task: who sends, waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from django.dispatch import Signal

from diskette.core.logs import logger_of
from diskette.core.plan import Kind, State
from diskette.core.report import Finding, Severity
from diskette.models import Archive, Run

logger = logger_of(__name__)

run_started = Signal()
"""A run holds the project's lock; its first step is about to begin."""
run_ended = Signal()
"""However it ended: see `run.state`. Also for one that was refused or never begun."""
dump_succeeded = Signal()
"""`run.archive` is the path of the archive."""
dump_failed = Signal()
load_succeeded = Signal()
"""Rows and files are those of `run.archive`: time to clear caches and rebuild indexes."""
load_failed = Signal()
drill_succeeded = Signal()
"""`run.archive` was restored beside what is live, and all of it compared."""
drill_failed = Signal()
archive_verified = Signal()
"""An archive was read to its last byte. The sender is the model Archive; sent with `path`, `state`
(`whole` or `damaged`), `findings`, and `was_damaged`, when it was last read."""

ENDS = {
    (Kind.DUMP, State.SUCCEEDED): dump_succeeded,
    (Kind.DUMP, State.FAILED): dump_failed,
    (Kind.LOAD, State.SUCCEEDED): load_succeeded,
    (Kind.LOAD, State.FAILED): load_failed,
    (Kind.DRILL, State.SUCCEEDED): drill_succeeded,
    (Kind.DRILL, State.FAILED): drill_failed,
}
"""By kind and state, what is sent after `run_ended`."""


def tell_start(run: Run) -> list[Finding]:
    """Send what a run begins with. Returns what receivers failed at, or gave back as findings."""
    return _send(run_started, run)


def tell_end(run: Run) -> list[Finding]:
    """Send what a run ends with. Returns the same as `tell_start`."""
    of_kind = ENDS.get((Kind(run.kind), State(run.state)))
    return [*_send(run_ended, run), *(_send(of_kind, run) if of_kind else [])]


def tell_verified(
    path: Path, state: str, findings: Sequence[Finding], *, was_damaged: bool
) -> list[Finding]:
    """Send what came of verifying an archive. Returns the same as `tell_start`."""
    facts = {"path": path, "state": state, "findings": findings, "was_damaged": was_damaged}
    return _answers(archive_verified.send_robust(Archive, **facts))


def _send(signal: Signal, run: Run) -> list[Finding]:
    return _answers(signal.send_robust(Run, run=run))


def _answers(answers: Iterable[tuple[object, object]]) -> list[Finding]:
    found: list[Finding] = []
    for receiver, answer in answers:
        if isinstance(answer, Exception):
            found.append(_failed(receiver, answer))
        elif isinstance(answer, list):
            found += [each for each in answer if isinstance(each, Finding)]
    return found


def _failed(receiver: object, error: Exception) -> Finding:
    name = getattr(receiver, "__qualname__", type(receiver).__qualname__)
    named = f"{getattr(receiver, '__module__', '')}.{name}".lstrip(".")
    logger.error("the receiver %s failed", named, exc_info=error)
    return Finding(
        code="receiver-failed",
        severity=Severity.WARNING,
        message=f"The receiver {named} of a signal failed: {type(error).__name__}: {error}",
        hint="The run is as it is; mend the receiver, and do by hand what it was to do.",
    )
