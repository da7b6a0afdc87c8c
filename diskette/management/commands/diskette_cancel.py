"""End a run that is going on."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from diskette import engine, results
from diskette.core.plan import ENDED
from diskette.management.base import DisketteCommand, find_run


class Command(DisketteCommand):
    help = "Cancel a run. One that is being applied can only be finished, and says so."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which run."""
        super().add_arguments(parser)
        parser.add_argument("run", help="the run's id, or its first letters")

    def handle(self, *_: Any, **options: Any) -> None:
        """Ask the run to end."""
        run = engine.cancel(find_run(options["run"]).pk)
        if options["format"] == "json":
            self.print_json(results.run_shape(run))
        elif run.state in ENDED:
            self.stdout.write(f"{run} is cancelled.")
        else:
            self.stdout.write(f"{run} ends as soon as its steps have noticed.")
