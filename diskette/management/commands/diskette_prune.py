"""Remove the archives that the retention no longer keeps."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

import humanize
from django.core.management.base import CommandError

from diskette import conf, results
from diskette.core.exceptions import ConfigurationError, UsageError
from diskette.core.report import JSON
from diskette.core.retention import COUNTS, Retention
from diskette.management.base import FAILED, DisketteCommand
from diskette.runs import Handle, check_prune, start_prune

RULES = (*COUNTS, "within", "size")


class Command(DisketteCommand):
    help = (
        "Remove the archives that DISKETTE_RETENTION no longer keeps. "
        "Prints each archive, whether it is kept, and why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where, by which policy, and whether at all."""
        super().add_arguments(parser)
        add = parser.add_argument
        add("--dry-run", action="store_true", help="say what would be removed; remove nothing")
        add("--no-input", "--noinput", action="store_false", dest="ask", help="do not ask")
        add("--destination", metavar="DIR", help="instead of DISKETTE_DUMP_PATH")
        add("--label", help="the archives of this first word, instead of the project's")
        for name in COUNTS:
            what = "the newest N" if name == "last" else f"the newest of each of N: {name}"
            add(f"--keep-{name}", type=int, metavar="N", help=f"keep {what}")
        add("--keep-within", metavar="SPAN", help="keep what is so much older: 14d, 1y6m")
        add("--keep-size", metavar="SIZE", help="of that, let the oldest go beyond it: 50GB")
        self.add_enqueue(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        """Show, ask, remove."""
        chosen: dict[str, Any] = {
            "policy": _policy(options),
            "label": options["label"],
            "destination": options["destination"],
        }
        if options["dry_run"]:
            self._show(_shapes(chosen), options)
            return
        asked = options["ask"] and sys.stdin.isatty()
        if asked:
            chosen["approved"] = self._approved(_shapes(chosen), options)
        self._shown = asked
        self.start(options, lambda **common: start_prune(**chosen, **common))

    def report(self, handle: Handle, options: dict[str, Any]) -> None:
        """Print what was decided under the lock, unless a person has seen it before."""
        run = handle.run
        step = run.steps.using(conf.database()).get(name="prune")
        decided = step.output.get("decisions", [])
        if options["format"] == "json":
            self.print_json(results.run_shape(run) | {"archives": decided})
        elif not self._shown:
            self._show(decided, options)
        self.exit_as(run, quiet=options["format"] == "json")

    def _approved(self, decided: list[JSON], options: dict[str, Any]) -> list[str]:
        """Names of what may go. Raises CommandError if a person does not say yes."""
        if options["format"] == "json":
            raise UsageError("--format json cannot ask: add --no-input if you are sure.")
        self._show(decided, options)
        going = [each["name"] for each in decided if not each["keep"]]
        if going:
            count = "1 archive" if len(going) == 1 else f"{len(going)} archives"
            self.stderr.write(f"{count} will be removed for good.", str)
            if input("Type yes to go on: ").strip().lower() != "yes":
                raise CommandError("Nothing was removed.", returncode=FAILED)
        return going

    def _show(self, decided: list[JSON], options: dict[str, Any]) -> None:
        if options["format"] == "json":
            self.print_json({"archives": decided})
            return
        if not decided:
            where = options["destination"] or conf.destination()
            self.stdout.write(f"No archives in {where}. `manage.py diskette_dump` makes one.")
        for line in _lines(decided):
            self.stdout.write(line)


def _shapes(chosen: dict[str, Any]) -> list[JSON]:
    return [each.to_json() for each in check_prune(**chosen)]


def _policy(options: dict[str, Any]) -> Retention | None:
    """Of the options, if there are any: they take the place of the whole setting."""
    given = {name: options[f"keep_{name}"] for name in RULES}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    try:
        policy = Retention.from_setting(given, "--keep-")
    except ConfigurationError as error:
        raise UsageError(str(error)) from error
    configured = conf.retention()
    return Retention(dumps=policy.dumps, safety=configured.safety) if configured else policy


def _lines(decided: Iterable[JSON]) -> Iterable[str]:
    """`keep    shop_20261122T020000Z_data.tar  17.9 kB  last 1 of 3`."""
    for each in decided:
        verdict = "keep" if each["keep"] else "remove"
        size = humanize.naturalsize(each["bytes"])
        yield f"{verdict:<6}  {each['name']}  {size}  {each['reason']}"
