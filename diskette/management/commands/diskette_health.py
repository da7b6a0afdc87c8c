"""Say what is wrong with the backups."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import humanize

from diskette import engine, health, messages
from diskette.core.exceptions import UsageError
from diskette.core.wording import finding_lines
from diskette.health import Health
from diskette.management.base import FINDINGS, DisketteCommand

NOT_INSTALLED = 'prometheus_client is not installed: pip install "diskette[prometheus]"'


class Command(DisketteCommand):
    help = (
        "Say what is wrong with the backups, all of it at once: archives, drills, runs, beat, "
        "workers. Exits with 4 if anything is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How to say it, and to whom."""
        parser.add_argument(
            "--format",
            choices=("text", "json", "prometheus"),
            default="text",
            help="text for people, json for programs, prometheus for its textfile collector",
        )
        parser.add_argument(
            "--tell",
            action="store_true",
            help="tell people, too, what of it is new or over, as beat's task does",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Examine, print, exit."""
        messages.publish(engine.sweep())
        report = health.report() if options["tell"] else health.examine()
        if options["format"] == "prometheus":
            self.stdout.write(_metrics(report), ending="")
            return  # the numbers say it; a script goes on to move the file into place
        if options["format"] == "json":
            self.print_json(report.to_json())
        else:
            self.stdout.write("\n".join(_lines(report)))
        if report.problems:
            many = len(report.problems)
            count = f"{many} problem{'s' if many > 1 else ''} with the backups, listed above."
            self.stop("" if options["format"] == "json" else count, FINDINGS)


def _metrics(report: Health) -> str:
    try:
        from diskette import metrics
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    return metrics.text(report)


def _lines(report: Health) -> Iterator[str]:
    """`archive  shop_20261122T020000Z_data.tar, 17.9 kB, 3 hours ago`, then the problems."""
    figures = report.figures
    if name := figures.get("archive"):
        size = humanize.naturalsize(figures["archive_bytes"])
        yield f"archive  {name}, {size}, {_ago(figures['archive_at'])}"
    if figures.get("proven_at"):
        yield f"proven   {_ago(figures['proven_at'])}"
    if (free := figures.get("free_bytes")) is not None:
        yield f"free     {humanize.naturalsize(free)}"
    if figures.get("sweep_at"):
        yield f"sweep    {_ago(figures['sweep_at'])}"
    if figures.get("report_at"):
        yield f"reported {_ago(figures['report_at'])}"
    if (workers := figures.get("workers")) is not None:
        yield f"workers  {workers}"
    for problem in report.problems:
        yield from finding_lines(problem)
    if not report.problems:
        yield "Nothing is wrong."


def _ago(instant: str) -> str:
    return humanize.naturaltime(datetime.fromisoformat(instant))
