"""Show runs and what they found."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import humanize

from diskette import conf, engine, messages, results
from diskette.core.report import Finding
from diskette.core.wording import finding_lines
from diskette.management.base import DisketteCommand, find_run
from diskette.management.console import amount, run_line, step_line
from diskette.models import Run
from diskette.runs import Handle

LISTED = 20


class Command(DisketteCommand):
    help = "List the latest runs, or show one: its steps, progress and findings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which run, and whether to stay."""
        super().add_arguments(parser)
        parser.add_argument("run", nargs="?", help="the run's id, its first letters, or `latest`")
        parser.add_argument("--follow", action="store_true", help="stay until the run has ended")

    def handle(self, *_: Any, **options: Any) -> None:
        """Show all, or one."""
        messages.publish(engine.sweep())
        if options["run"] is None and not options["follow"]:
            self._list(options)
            return
        run = find_run(options["run"] or "latest")
        if options["follow"]:
            self._follow(run, options)
        elif options["format"] == "json":
            self.print_json(self._whole(run))
        else:
            self._show(run)

    def _list(self, options: dict[str, Any]) -> None:
        runs = list(Run.objects.using(conf.database())[:LISTED])
        if options["format"] == "json":
            self.print_json([results.run_shape(run) for run in runs])
            return
        if not runs:
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
