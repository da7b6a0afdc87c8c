"""What Diskette's commands have in common: exit codes, formats, and watching a run."""

from __future__ import annotations

import os
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, OutputWrapper, SystemCheckError
from django.db import DatabaseError, InterfaceError, connections

from diskette import conf, engine, results
from diskette.core.exceptions import ConfigurationError, DisketteError, RunConflict, UsageError
from diskette.core.plan import Kind, State
from diskette.core.report import JSON, Severity
from diskette.core.space import named
from diskette.core.wording import stat_words
from diskette.management.console import Console
from diskette.models import Run
from diskette.runs import Handle

FAILED, USAGE, REFUSED, FINDINGS = 1, 2, 3, 4
"""Exit codes; 0 is done. docs/commands.md."""

CHECKS = ("check_compatibility", "carry_forward", "check_integrity")
"""Steps whose findings are about the data."""


class DisketteCommand(BaseCommand):
    """A command whose errors are one message and an exit code, never a traceback."""

    requires_system_checks = ["diskette"]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options that every command has."""
        parser.add_argument(
            "--format",
            choices=("text", "json"),
            default="text",
            help="text for people, json for programs: one document on standard output",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; translate what Diskette raises, and say it in the wanted format."""
        try:
            said = super().execute(*args, **options)
            self.stdout.flush()  # what is still buffered may find nobody there, too
        except BrokenPipeError:
            # Whoever reads has read enough, as `head` does. Python would complain at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        except (CommandError, DisketteError, DatabaseError, InterfaceError, OSError) as error:
            refusal = _refusal(error)
            if options.get("format") == "json":
                self.print_json({"error": _error_shape(error, str(refusal))})
            raise refusal from error
        except KeyboardInterrupt as error:
            message = str(error) or "Interrupted; nothing was left behind."
            if options.get("format") == "json":
                self.print_json({"error": {"code": "interrupted", "message": message}})
            raise CommandError(message, returncode=FAILED) from None
        return said

    def print_json(self, shape: JSON) -> None:
        self.stdout.write(orjson.dumps(shape, option=orjson.OPT_INDENT_2, default=str).decode())

    def add_enqueue(self, parser: ArgumentParser) -> None:
        """Options of commands that begin a run."""
        parser.add_argument(
            "--enqueue", action="store_true", help="let workers do it; prints the run's id"
        )
        parser.add_argument(
            "--wait", action="store_true", help="with --enqueue: follow the run until it ends"
        )

    def start(self, options: dict[str, Any], begin: Callable[..., Handle]) -> None:
        """Begin a run, show it while it goes on, and exit as it ended."""
        if options["wait"] and not options["enqueue"]:
            raise UsageError("--wait goes with --enqueue: without it the command waits anyway.")
        common = {"enqueue": options["enqueue"], "requested_by": f"command {self._called}"}
        if options["enqueue"] and not options["wait"]:
            self._print_id(begin(**common), options)
            return
        with self.watched(options, self.stderr) as watch:
            handle = begin(**common, on_start=watch.begin)
            self.wait_for(handle)
        self.report(handle, options)

    def wait_for(self, handle: Handle) -> None:
        try:
            handle.wait()
        except KeyboardInterrupt:
            message = (
                f"Stopped watching; run {handle.id} goes on with the workers. "
                f"`manage.py diskette_cancel {handle.id}` ends it."
            )
            raise CommandError(message, returncode=FAILED) from None

    def _print_id(self, handle: Handle, options: dict[str, Any]) -> None:
        if options["format"] == "json":
            self.print_json(results.run_shape(handle.run))
        else:
            self.stdout.write(str(handle.id))

    @property
    def _called(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    @contextmanager
    def watched(self, options: dict[str, Any], stream: OutputWrapper) -> Iterator[Watch]:
        """Shows a run on a stream, from a thread, while it goes on."""
        quiet = options["format"] == "json" or options["verbosity"] == 0
        watch = Watch(Console(stream), silent=quiet)
        try:
            yield watch
        finally:
            watch.end()

    def report(self, handle: Handle, options: dict[str, Any]) -> None:
        """Print the result of an ended run; exit as it ended."""
        run = handle.run
        if options["format"] == "json":
            self.print_json(results.run_shape(run))
        elif run.state == State.SUCCEEDED and run.kind == Kind.DUMP:
            self.stdout.write(run.archive)
        elif run.state == State.SUCCEEDED and run.kind == Kind.DRILL:
            # What the run itself has found is of telling and clearing, after the proof.
            found = any(step.findings for step in run.steps.using(conf.database()))
            word = "restored" if found else "proven"
            holds = ", ".join(stat_words(run.stats))
            self.stdout.write(f"{word:<8} {Path(run.archive).name}  {holds}")
        self.exit_as(run, quiet=options["format"] == "json")

    def exit_as(self, run: Run, *, quiet: bool) -> None:
        """Raise CommandError unless the run did what it should, without errors found."""
        errors = [f for f in run.all_findings if f.severity == Severity.ERROR]
        if run.state == State.SUCCEEDED and not errors:
            return
        if run.state != State.SUCCEEDED:
            message = str(results.failure_of(run))
        else:
            message = f"{run} is done, but errors were found (listed above): {len(errors)}."
        self.stop("" if quiet else message, _exit_code(run))

    def stop(self, message: str, code: int) -> None:
        """End with an exit code; without a message where JSON has said it all."""
        if message:
            raise CommandError(message, returncode=code)
        self.stdout.flush()
        sys.exit(code)


class Watch:
    """Follows a run from a thread of its own, with its own connection."""

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console, self._silent = console, silent
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, handle: Handle) -> None:
        if not self._silent:
            self._thread = threading.Thread(target=self._follow, args=(handle,), daemon=True)
            self._thread.start()

    def end(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _follow(self, handle: Handle) -> None:
        try:
            self._console.follow(handle.id, self._ended)
        except engine.DATABASE_GONE:
            self._silent = True  # whoever waits for the run meets the same, and says so
        finally:
            connections.close_all()


def _exit_code(run: Run) -> int:
    """Of a run that did not end well, or whose findings are errors."""
    if run.state in (State.SUCCEEDED, State.SKIPPED):
        return FINDINGS if run.state == State.SUCCEEDED else REFUSED
    failed = run.steps.using(conf.database()).filter(state=State.FAILED)
    errors = {step.error["exc_type"]: step.name for step in failed if step.error}
    if "UsageError" in errors:
        return USAGE
    # Problems of the data; elsewhere findings tell of a fault or a damaged archive.
    return FINDINGS if errors.get("FindingsError") in CHECKS else FAILED


def _refusal(error: Exception) -> CommandError:
    """What a person is told, and the exit code."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, OSError):
        error = named(error, conf.destination())
    codes = {RunConflict: REFUSED, UsageError: USAGE}
    return CommandError(_message(error), returncode=codes.get(type(error), FAILED))


def _message(error: Exception) -> str:
    if isinstance(error, ConfigurationError):
        return _listed(error.problems)
    return str(error) if isinstance(error, DisketteError) else _database_message(error)


def _error_shape(error: Exception, message: str) -> dict[str, JSON]:
    """An error that left no run to report, as JSON: docs/commands.md."""
    code = "configuration" if isinstance(error, SystemCheckError) else "refused"
    shape = {"code": getattr(error, "code", code), "message": message}
    if isinstance(error, RunConflict):
        shape |= {"run": error.run, "holder": error.holder}
    return shape


def _listed(problems: tuple[str, ...]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n".join((f"{len(problems)} problems:", *(f"- {problem}" for problem in problems)))


def _database_message(error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"The database refused or does not answer: {first}. If tables of Diskette are missing, "
        "run `manage.py migrate`; else look at DATABASES, the server, and the room on its disk."
    )


def find_run(word: str) -> Run:
    """A run by its id, by the first letters of it, or the `latest`. Raises UsageError."""
    runs = Run.objects.using(conf.database())
    if word == "latest":
        latest = runs.filter(parent=None).first()
        if latest is None:
            raise UsageError("No runs yet. `manage.py diskette_dump` makes the first.")
        return latest
    found = [run for run in runs.only("pk") if str(run.pk).startswith(word.lower())]
    if len(found) != 1:
        what = "No run" if not found else f"{len(found)} runs"
        raise UsageError(f"{what} with id {word!r}: `manage.py diskette_status` lists them.")
    return runs.get(pk=found[0].pk)
