"""A pytest plugin: tells what was seen of each fault, as the rows of docs/reliability.md."""

from __future__ import annotations

from collections import defaultdict

import pytest

Seen = dict[tuple[str, str], list[tuple[float, str]]]
"""By fault and test: the seconds until a run had healed, and how it came out."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One row for each fault."""
    seen: Seen = defaultdict(list)
    for report in terminalreporter.stats.get("passed", []):
        told = dict(report.user_properties)
        if "healed" in told:
            seen[told["fault"], report.nodeid.partition("[")[0]].append(tuple(told["healed"]))
    terminalreporter.section("what was seen")
    for (fault, test), healed in seen.items():
        terminalreporter.line(f"| {fault} | `{test}` | {spelled(healed)} |")


def spelled(healed: list[tuple[float, str]]) -> str:
    """As in `1.2 to 3.4 s; dump succeeded, load failed (lease-lost)`."""
    seconds = sorted({max(at, 0.0) for at, _ in healed})
    span = f"{seconds[0]:.1f}" + (f" to {seconds[-1]:.1f}" if len(seconds) > 1 else "")
    return f"{span} s; {', '.join(sorted({end for _, end in healed}))}"
