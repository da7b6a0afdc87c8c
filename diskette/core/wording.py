"""Findings, sizes and times as people read them, on a terminal and in a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import humanize

from diskette.core.report import Finding


def stat_words(stats: Mapping[str, Any]) -> Iterator[str]:
    """Plain numbers as people read them."""
    for name, value in stats.items():
        words = name.replace("_", " ")
        if name == "seconds":
            yield seconds_words(value)
        elif isinstance(value, Mapping):
            places = (f"{humanize.naturalsize(size)} in {place}" for place, size in value.items())
            yield f"{words.removesuffix(' bytes')} {', '.join(places)}"
        elif name.endswith("bytes"):
            yield f"{humanize.naturalsize(value)} {words.removesuffix('bytes')}".rstrip()
        elif isinstance(value, int):
            yield f"{humanize.intcomma(value)} {words.removesuffix('s') if value == 1 else words}"
        else:
            yield str(value)


def seconds_words(seconds: float) -> str:
    """`92 milliseconds`, `1.2 seconds`, `3 minutes and 20 seconds`."""
    if seconds < 1:
        return humanize.precisedelta(seconds, minimum_unit="milliseconds", format="%0.0f")
    return humanize.precisedelta(seconds, format="%0.1f" if seconds < 60 else "%0.0f")  # noqa: PLR2004


def finding_lines(finding: Finding) -> Iterator[str]:
    """Severity, code, message; below it the sample and the cure."""
    first, *rest = finding.message.splitlines() or [""]
    yield f"{finding.severity} [{finding.code}] {first}"
    yield from (f"  {line}" for line in rest)
    if finding.keys:
        yield f"  keys: {', '.join(map(str, finding.keys))}"
    if finding.objects:
        yield f"  rows: {', '.join(map(str, finding.objects))}"
    if finding.hint:
        yield f"  cure: {finding.hint}"
