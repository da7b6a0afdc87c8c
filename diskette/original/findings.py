"""What is said of an archive of the original before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from diskette.core.files import printable
from diskette.core.report import Finding, Severity
from diskette.data.findings import rows
from diskette.original.conversion import Conversion

LARGEST_EMPTY = 6
"""Bytes in which no row can be written."""


def of_conversion(conversion: Conversion) -> Iterator[Finding]:
    """What was left out of the archive, or understood in one of several ways."""
    if conversion.left_out:
        yield _never_loaded(conversion)
    for label, (earlier, later) in sorted(conversion.passed_over.items()):
        yield _dumped_twice(label, earlier, later)
    for label, count in sorted(conversion.numbers.guessed.items()):
        yield _guessed(label, count)


def of_small(sizes: Mapping[str, int], limit: int) -> Iterator[Finding]:
    """Of fixtures that were passed over for their size, those that may have rows all the same."""
    small = {name: size for name, size in sizes.items() if size > LARGEST_EMPTY}
    if small:
        named = ", ".join(f"{printable(name)} ({size:,} bytes)" for name, size in small.items())
        yield Finding(
            code="fixture-passed-over",
            severity=Severity.WARNING,
            message="Not read, and taken for empty, for they have "
            f"{limit:,} bytes or less: {named}.",
            hint="If rows are missing, lower DISKETTE_LOAD_MINIMAL_FILESIZE, and load again.",
            keys=tuple(small),
            count=len(small),
        )


def _never_loaded(conversion: Conversion) -> Finding:
    counts = sorted(conversion.left_out.items())
    named = ", ".join(f"{rows(count)} of {label}" for label, count in counts)
    return Finding(
        code="never-dumped",
        severity=Severity.INFO,
        message=f"The archive has rows that no load takes: {named}. They tell of the installation "
        "it was made on, or `migrate` makes them.",
        hint="Nothing needs to be done.",
        count=sum(conversion.left_out.values()),
    )


def _dumped_twice(label: str, earlier: str, later: str) -> Finding:
    return Finding(
        code="dumped-twice",
        severity=Severity.WARNING,
        message=f"{label}: {earlier} and {later} both have rows of it. Those of the second are "
        "loaded, as they were what remained after the original had loaded both.",
        hint="Where the archive is made, name the model in one definition alone.",
        model=label,
    )


def _guessed(label: str, count: int) -> Finding:
    return Finding(
        code="by-number",
        severity=Severity.WARNING,
        message=f"{rows(count)} of the archive refer to {label} by number, and it does not say "
        "what the numbers mean. They are taken for this database's.",
        hint="That is right where the archive was made of this very database. Else dump again with "
        "'natural_foreign': True, or load with --check and look at the rows.",
        model=label,
        count=count,
    )
