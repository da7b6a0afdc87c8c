"""`python -m tests.kills.drill`: kill loads at random instants, tell what each left behind."""

from __future__ import annotations

import platform
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib.metadata import version
from random import Random, randrange

from benchmarks import engines
from benchmarks.options import ALL_ENGINES
from tests.kills.drill.arena import prepare
from tests.kills.drill.states import Held
from tests.kills.drill.tries import Try, let_through, tries
from worker.servers import new_directory

HEADER = ("database", "rows", "tries", "ended old", "ended new", "inconsistent")


def main(arguments: Sequence[str]) -> int:
    """1 if any try left something other than OLD or NEW, or not what its run says."""
    options = parse(arguments)
    directory = new_directory("diskette-drill-")
    with engines.opened(options.engine, directory) as engine:
        arena = prepare(engine, directory, options.rows)
        seconds = let_through(arena)
        emit(f"seed {options.seed}; apply takes {seconds * 1000:.0f} ms until its commit")
        done = []
        for each in tries(arena, Random(options.seed), seconds, options.tries):
            done.append(each)
            emit(f"{len(done):3} | {each}")
        emit(summary(engine, options, done))
    return 0 if all(each.is_consistent for each in done) else 1


def parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m tests.kills.drill", description=__doc__)
    add = parser.add_argument
    servers = f"{engines.POSTGRES} and {engines.MARIADB} name servers"
    add("--engine", default=ALL_ENGINES[0], choices=ALL_ENGINES, help=servers)
    add("--tries", type=int, default=50, help="loads to kill")
    add("--rows", type=int, default=300_000, help="in all tables together")
    add("--seed", type=int, default=randrange(10**6), help="repeats a drill's instants")
    return parser.parse_args(arguments)


def summary(engine: engines.Engine, options: Namespace, done: Sequence[Try]) -> str:
    packages = f"Python {platform.python_version()}, Django {version('Django')}"
    cells = (
        f"{engine.version()}, {packages}",
        f"{options.rows:,}",
        len(done),
        sum(each.held is Held.OLD for each in done),
        sum(each.held is Held.NEW for each in done),
        sum(not each.is_consistent for each in done),
    )
    lines = (HEADER, ["---"] * len(HEADER), map(str, cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def emit(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
