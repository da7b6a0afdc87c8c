"""Examine what a dump would take, before it is needed."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.checks import ERROR, CheckMessage

from diskette import checks, doctor, registry, storages
from diskette.core.exceptions import ConfigurationError
from diskette.core.report import Finding, Severity
from diskette.core.wording import finding_lines
from diskette.management.base import FINDINGS, DisketteCommand


class Command(DisketteCommand):
    help = (
        "Find what a load would refuse, or an archive would lack: in the definitions alone, "
        "or with --data in rows and files, too. Changes nothing; exits with 4 if there are errors."
    )
    # They are findings here, beside all others.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How deep to look."""
        super().add_arguments(parser)
        add = parser.add_argument
        add("--data", action="store_true", help="read rows and the names of files, too")
        add("--app", action="append", default=[], metavar="NAME", help="only this definition")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print what is found, errors last, where they are seen."""
        found, order = _examined(options["app"], data=options["data"])
        if options["format"] == "json":
            shape = {"findings": [finding.to_json() for finding in found], "load_order": order}
            self.print_json(shape)
        else:
            for finding in sorted(found, key=lambda each: list(Severity).index(each.severity)):
                self.stdout.write("\n".join(finding_lines(finding)))
            if any(finding.code in ("order", "plugin-before-parent") for finding in found):
                self.stdout.write(f"The order that loads: {', '.join(order)}.")
            self.stdout.write(_summary(found, data=options["data"]))
        if any(finding.severity is Severity.ERROR for finding in found):
            self.stop("", FINDINGS)


def _examined(only: Sequence[str], *, data: bool) -> tuple[list[Finding], list[str]]:
    """What was found, and the names of the definitions in the order that loads."""
    found = [_as_finding(message) for message in checks.check_settings()]
    if any(finding.severity is Severity.ERROR for finding in found):
        return found, []
    try:
        resolution = registry.resolve(only)
    except ConfigurationError as error:
        return [*found, *map(_of_problem, error.problems)], []
    found += doctor.of_definitions(resolution, data_follows=data)
    if data:
        found += doctor.of_data(
            doctor.Patient(resolution=resolution, storages=_trees(), tick=lambda _: None)
        )
    return found, [each.name for each in resolution.definitions]


def _trees() -> Sequence[storages.Storage]:
    """None, where they cannot be used: the checks of settings have told why."""
    try:
        return storages.resolve()
    except ConfigurationError:
        return ()


def _as_finding(message: CheckMessage) -> Finding:
    severity = Severity.ERROR if message.level >= ERROR else Severity.WARNING
    return Finding(
        code="configuration", severity=severity, message=message.msg, hint=message.hint or ""
    )


def _of_problem(problem: str) -> Finding:
    return Finding(code="configuration", severity=Severity.ERROR, message=problem)


def _summary(found: Sequence[Finding], *, data: bool) -> str:
    counts = Counter(finding.severity for finding in found)
    said = [
        f"{counts[each]} {each}{'' if counts[each] == 1 else 's'}"
        for each in (Severity.ERROR, Severity.WARNING)
        if counts[each]
    ]
    looked = "Definitions, rows and files" if data else "Definitions (rows and files: --data)"
    return f"{looked}: {', '.join(said) or 'nothing is wrong'}."
