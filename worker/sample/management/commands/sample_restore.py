"""Have the project's own tasks load an archive and watch the load."""

from __future__ import annotations

from typing import Any

from celery.result import AsyncResult
from django.core.management.base import BaseCommand, CommandError, CommandParser

from worker.sample import tasks


class Command(BaseCommand):
    help = "Start the task sample.restore and print what the task sample.watch saw."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", help="its name in the destination")
        parser.add_argument("--timeout", type=float, default=300, help="seconds")

    def handle(self, *, archive: str, timeout: float, **_: Any) -> None:
        run_id = tasks.restore.delay(archive).get(timeout=timeout)
        self.stdout.write(f"run {run_id}")
        watched: dict[str, Any] = AsyncResult(f"watch-{run_id}").get(timeout=timeout)
        if watched["status"] != "SUCCESS":
            raise CommandError(f"The load ended as {watched['status']}: diskette_status {run_id}")
        percents = " > ".join(f"{percent} %" for percent in watched["seen"])
        self.stdout.write(f"{percents}, {watched['status']}")
