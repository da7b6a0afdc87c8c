"""What came out, as a page of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure, Growth, figures, step
from benchmarks.options import Options
from benchmarks.rounds import Medians, Outcome
from benchmarks.tools import Diskette

ABOUT = """\
# Benchmarks

What `make benchmark` last printed. It makes the data, lets the tools take turns, each as a
whole cold process, and compares what each brought back with the source, row by row and
file by file. `make benchmark OPTIONS=--help` lists its options, and `--profile` tells where
Diskette's time goes.

Medians. *CPU* is that of the command and all its descendants, *server* that of the database
server's processes meanwhile. *Peak* is the largest resident set of any one process of the
command's, its detached ones too; below 12 MB nothing is told apart. *x* is the tool's time
in Diskette's: 2.0 took twice as long. Every load starts in a fresh database. pg_dump's rows
take no part in moving between engines, and django-dbbackup copies SQLite's file as it is.
"""
HEADER = ("", "wall, s", "x", "CPU, s", "server, s", "peak, MB", "archive, MB", "restored")


@dataclass(kw_only=True)
class Report:
    options: Options
    machine: Sequence[str]
    outcomes: list[Outcome] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    step_seconds: float | None = None
    is_interrupted: bool = False

    @property
    def figures(self) -> list[Figure]:
        grown = (each.figures for each in self.growths if each.is_measured)
        steps = [] if self.step_seconds is None else [step(self.step_seconds)]
        return [*figures(self.outcomes), *(figure for each in grown for figure in each), *steps]


def markdown(report: Report) -> str:
    subjects = dict.fromkeys(outcome.subject for outcome in report.outcomes)
    parts = [ABOUT, _circumstances(report)]
    for subject in subjects:
        of_it = [outcome for outcome in report.outcomes if outcome.subject == subject]
        parts.append(f"## {subject}\n\n{_direction_table(of_it, 'dump', _dump)}")
        parts.append(_direction_table(of_it, "load", _load))
    parts += _figures(report)
    return "\n".join(parts)


def _circumstances(report: Report) -> str:
    options = report.options
    data = (
        f"{options.rows:,} rows; {options.media_mb} MB in {options.files:,} files; "
        f"{options.rounds} rounds, of dumpdata and Diskette 0.6 {options.slow_rounds}"
    )
    cut = ["interrupted: not all of it was done"] if report.is_interrupted else []
    return "".join(f"- {line}\n" for line in (*report.machine, data, *cut))


def _dump(outcome: Outcome) -> Medians:
    return outcome.dump


def _load(outcome: Outcome) -> Medians:
    return outcome.load


def _direction_table(
    outcomes: Sequence[Outcome], name: str, direction: Callable[[Outcome], Medians]
) -> str:
    ours = next((direction(each) for each in outcomes if isinstance(each.tool, Diskette)), None)
    rows = [
        _line(outcome, direction(outcome), ours.seconds if ours and ours.taken else None)
        for outcome in outcomes
    ]
    return _table((name, *HEADER[1:]), rows)


def _line(outcome: Outcome, medians: Medians, ours: float | None) -> Sequence[str]:
    if not medians.taken:
        return (outcome.tool.name, *[""] * 6, outcome.verdict if outcome.absent else "not run")
    server = medians.server_cpu_seconds
    return (
        outcome.tool.name,
        f"{medians.seconds:.2f}",
        f"{medians.seconds / ours:.2f}" if ours else "",
        f"{medians.cpu_seconds:.2f}",
        "" if server is None else f"{server:.2f}",
        f"{medians.peak_bytes / 10**6:.0f}",
        f"{outcome.archive_bytes / 10**6:.1f}",
        outcome.verdict,
    )


def _figures(report: Report) -> Iterator[str]:
    rows = [
        (each.what, *map(each.shown, (each.value, each.must, each.aim)), each.verdict)
        for each in report.figures
    ]
    if rows:
        yield f"## Figures to reach\n\n{_table(('', 'is', 'must', 'aim', ''), rows)}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
