"""What is asked for on the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("postgresql", "sqlite")
ALL_ENGINES = (*ENGINES, "mariadb")
"""What no wheel carries is benchmarked when it is asked for."""
STORAGES = "storages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    rows: int
    rounds: int
    slow_rounds: int
    slow_limit: int
    engines: Sequence[str]
    tools: Sequence[str]
    media_mb: int
    files: int
    growth: bool
    steps: bool
    profile: bool
    write: bool

    @property
    def first_slow_round(self) -> int:
        """The slow tools take turns in the last rounds, so that the others are done by then."""
        return self.rounds - (self.slow_rounds if self.rows <= self.slow_limit else 0)


def parse(arguments: Sequence[str]) -> Options:
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=100_000, help="in all tables together")
    add("--rounds", type=int, default=3, help="of every tool, interleaved")
    add("--slow-rounds", type=int, default=1, help="the last ones, with the slow tools too")
    add("--slow-limit", type=int, default=100_000, help="with more rows these do not run at all")
    add("--engines", nargs="*", default=ENGINES, choices=ALL_ENGINES, help="default: first two")
    add("--tools", nargs="*", default=(), metavar="NAME", help="only these, named as in the table")
    add("--media-mb", type=int, default=300, help="size of the storages; 0: without them")
    add("--files", type=int, default=5000, help="in the storages")
    add("--growth", action="store_true", help="also Diskette's memory with four times the rows")
    add("--steps", action="store_true", help="also what one step costs on a Celery worker")
    add("--profile", action="store_true", help="only where Diskette's time goes, by py-spy")
    add("--write", action="store_true", help=f"also put the tables into {PAGE.name}")
    return Options(**vars(parser.parse_args(arguments)))


BY_HAND = "<!-- From here on by hand. -->\n"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
