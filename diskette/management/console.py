"""Runs as people see them: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import humanize
from django.db import connections

from diskette import conf, engine
from diskette.core.plan import ENDED, State
from diskette.core.report import Finding
from diskette.core.wording import finding_lines, stat_words
from diskette.models import Run, Step

POLL_SECONDS = 0.2
BAR_CELLS = 20
MARKS = {
    State.SUCCEEDED: "done",
    State.SKIPPED: "skipped",
    State.FAILED: "FAILED",
    State.CANCELLED: "cancelled",
    State.RUNNING: "at work",
    State.READY: "waiting",
    State.PENDING: "to come",
}
COLOURS = {State.SUCCEEDED: "32", State.FAILED: "31", State.CANCELLED: "33", State.SKIPPED: "2"}


class Console:
    """Writes a run's story to a stream as it unfolds."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._terminal = bool(getattr(stream, "isatty", lambda: False)())
        self._told: set[UUID] = set()
        self._findings: list[Finding] = []
        self._bar = ""

    def follow(self, run_id: UUID, ended: threading.Event | None = None) -> None:
        """Tell every step as it ends, until the run does, or the watcher is told to stop.

        Bears with a database that is locked or away for a while; then raises what it says.
        """
        ended, answered = ended or threading.Event(), time.monotonic()
        while True:
            stop = ended.wait(POLL_SECONDS)
            try:
                run, answered = self._tell(run_id), time.monotonic()
            except engine.DATABASE_GONE:
                connections[conf.database()].close()
                if stop or time.monotonic() - answered > engine.OUTAGE_SECONDS:
                    raise
                continue
            if run.has_ended or stop:
                self._close(run)
                return

    def _tell(self, run_id: UUID) -> Run:
        run = Run.objects.using(conf.database()).get(pk=run_id)
        if run.pk not in self._told:
            self._told.add(run.pk)
            self._line(f"{run}")
        steps = list(run.steps.using(conf.database()))
        for step in steps:
            if step.state in ENDED and step.pk not in self._told:
                self._told.add(step.pk)
                if step.state != State.CANCELLED:
                    self._line(self._coloured(step_line(step), step.state))
                for finding in step.findings:
                    self._finding(Finding.from_json(finding))
        self._draw(run, [step for step in steps if step.state == State.RUNNING])
        return run

    def _close(self, run: Run) -> None:
        for shape in run.findings:
            self._finding(Finding.from_json(shape))
        self._line(self._coloured(run_line(run), State(run.state)))

    def _finding(self, finding: Finding) -> None:
        if finding in self._findings:
            return  # a step that refuses says again what steps before it have found
        self._findings.append(finding)
        for line in finding_lines(finding):
            self._line(f"  {line}")

    def _draw(self, run: Run, at_work: list[Step]) -> None:
        if not self._terminal:
            return
        filled = round(BAR_CELLS * run.percent / 100)
        bar = "█" * filled + "░" * (BAR_CELLS - filled)
        doing = ", ".join(f"{step} {amount(step)}".rstrip() for step in at_work)
        width = shutil.get_terminal_size().columns - 1
        self._bar = f"{bar} {run.percent:5.1f} %  {doing}"[:width]
        self._emit(f"\r\x1b[K{self._bar}", "")

    def _line(self, text: str) -> None:
        if self._bar:
            self._emit("\r\x1b[K", "")
            self._bar = ""
        self._emit(text, "\n")

    def _emit(self, text: str, ending: str) -> None:
        self._stream.write(text, str, ending)  # `str`: Django would colour all of it as an error
        self._stream.flush()

    def _coloured(self, text: str, state: str) -> str:
        colour = COLOURS.get(State(state))
        return f"\x1b[{colour}m{text}\x1b[0m" if self._terminal and colour else text


class Meter:
    """Tells on a terminal how far some work is that is no run."""

    def __init__(self, stream: Any, *, silent: bool) -> None:
        is_terminal = bool(getattr(stream, "isatty", lambda: False)())
        self._stream, self._shows = stream, is_terminal and not silent
        self._due = 0.0

    @contextmanager
    def over(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A tick that counts up to `total` bytes; the line it draws is gone in the end."""
        done = 0

        def tick(more: int) -> None:
            nonlocal done
            done += more
            if self._shows and time.monotonic() >= self._due:
                self._due = time.monotonic() + POLL_SECONDS
                self._draw(f"{min(100.0, 100 * done / max(total, 1)):5.1f} %  {what}")

        try:
            yield tick
        finally:
            if self._shows:
                self._draw("")

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[K{text[:width]}", str, "")
        self._stream.flush()


def step_line(step: Step) -> str:
    """`done     dump_application shop   1,200 rows, 83.1 kB, 0.4 seconds`."""
    facts = ", ".join(stat_words(step.stats)) or amount(step)
    return f"{MARKS[State(step.state)]:<9} {step!s:<40} {facts}".rstrip()


def run_line(run: Run) -> str:
    facts = ", ".join(stat_words(run.stats))
    return f"{run} {run.state}{': ' + facts if facts else ''}"


def amount(step: Step) -> str:
    """`1,200 of 5,000 rows`; empty before anything is known."""
    if not step.total:
        return ""
    if step.unit == "bytes":
        return f"{humanize.naturalsize(step.done)} of {humanize.naturalsize(step.total)}"
    return f"{humanize.intcomma(step.done)} of {humanize.intcomma(step.total)} {step.unit}"
