"""Show runs and what they found."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import humanize
from django.utils import timezone

from diskette import conf, engine, messages, results
from diskette.core.exceptions import UsageError
from diskette.core.plan import Kind, State
from diskette.core.report import Finding
from diskette.core.wording import finding_lines
from diskette.management.base import DisketteCommand, find_run
from diskette.management.console import amount, run_line, step_line
from diskette.models import Run
from diskette.runs import Handle

LISTED = 20
FILTERS = ("kind", "state", "finding", "days", "limit")


class Command(DisketteCommand):
    help = "List the latest runs, or show one: its steps, progress and findings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which run, and whether to stay."""
        super().add_arguments(parser)
        parser.add_argument("run", nargs="?", help="the run's id, its first letters, or `latest`")
        add = parser.add_argument
        add("--follow", action="store_true", help="stay until the run has ended")
        add("--kind", choices=[*Kind], help="list runs of this kind alone")
        add("--state", choices=[*State], help="list runs in this state alone")
        add("--finding", metavar="CODE", help="list runs alone that found this, or had it found")
        add("--days", type=float, metavar="N", help="list runs of the last N days alone")
        add("--limit", type=int, metavar="N", help=f"list so many at most; {LISTED} if not given")

    def handle(self, *_: Any, **options: Any) -> None:
        """Show all, or one."""
        messages.publish(engine.sweep())
        chosen = [name for name in FILTERS if options[name] is not None]
        if options["run"] is None and not options["follow"]:
            self._list(options)
            return
        if chosen:
            raise UsageError(f"--{chosen[0]} lists runs: leave out RUN and --follow.")
        run = find_run(options["run"] or "latest")
        if options["follow"]:
            self._follow(run, options)
        elif options["format"] == "json":
            self.print_json(self._whole(run))
        else:
            self._show(run)

    def _list(self, options: dict[str, Any]) -> None:
        runs = list(islice(_chosen(options), options["limit"] or LISTED))
        if options["format"] == "json":
            self.print_json([results.run_shape(run) for run in runs])
            return
        if not runs and any(options[name] is not None for name in FILTERS):
            self.stdout.write("No such runs.")
        elif not runs:
            self.stdout.write("No runs yet. `manage.py diskette_dump` makes the first.")
        for run in runs:
            when = humanize.naturaltime(run.created_at)
            self.stdout.write(f"{run.pk}  {run.kind}  {run.state:<9} {run.percent:5.1f} %  {when}")

    def _whole(self, run: Run) -> dict[str, Any]:
        steps = run.steps.using(conf.database())
        return results.run_shape(run) | {
            "results": [results.step_shape(step, run.kind) for step in steps]
        }

    def _follow(self, run: Run, options: dict[str, Any]) -> None:
        handle = Handle(run.pk)
        with self.watched(options, self.stdout) as watch:
            watch.begin(handle)
            self.wait_for(handle)
        run = handle.run
        if options["format"] == "json":
            self.print_json(self._whole(run))
        self.exit_as(run, quiet=True)

    def _show(self, run: Run) -> None:
        self.stdout.write(f"{run_line(run)}  ({run.percent:.1f} %)")
        for step in run.steps.using(conf.database()):
            at_work = f"  {amount(step)}" if step.state == "running" else ""
            self.stdout.write(f"  {step_line(step)}{at_work}")
        for shape in results.run_shape(run)["findings"]:
            for line in finding_lines(Finding.from_json(shape)):
                self.stdout.write(f"  {line}")
        if run.archive:
            self.stdout.write(run.archive)


def _chosen(options: dict[str, Any]) -> Iterator[Run]:
    """The runs that are asked for, the newest first."""
    if any(options[name] is not None and options[name] <= 0 for name in ("limit", "days")):
        raise UsageError("--limit and --days take a number above 0.")
    runs = Run.objects.using(conf.database())
    given = {name: options[name] for name in ("kind", "state") if options[name]}
    found = runs.filter(**given)
    if options["days"]:
        found = found.filter(created_at__gte=timezone.now() - timedelta(days=options["days"]))
    code = options["finding"]
    for run in found.iterator():
        if code is None or code in {each.code for each in run.all_findings}:
            yield run
