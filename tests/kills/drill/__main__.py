"""`python -m tests.kills.drill`: kill loads at random instants, tell what each left behind."""

from __future__ import annotations

import platform
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from random import Random, randrange

from benchmarks import engines
from benchmarks.options import ALL_ENGINES
from tests.filesystems import mounted
from tests.kills.drill.arena import MEDIA, prepare
from tests.kills.drill.states import Held
from tests.kills.drill.tries import Pace, Try, let_through, tries
from worker.servers import new_directory

HEADER = ("database", "rows", "files", "tries", "ended old", "ended new", "inconsistent")


def main(arguments: Sequence[str]) -> int:
    """1 if any try left something other than OLD or NEW, or not what its run says."""
    options = parse(arguments)
    directory = new_directory("diskette-drill-")
    with engines.opened(options.engine, directory) as engine, ExitStack() as mounts:
        if options.mounted:
            mounts.enter_context(mounted(directory / MEDIA, "size=2g"))
        arena = prepare(engine, directory, options.rows, options.files)
        pace = let_through(arena)
        emit(f"seed {options.seed}; {spelled(pace)}")
        done = []
        for each in tries(arena, Random(options.seed), pace, options.tries):
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
    add("--files", type=int, default=0, help="in the storage that is loaded along; 0: none is")
    add("--mounted", action="store_true", help="the storage is a mount point")
    add("--seed", type=int, default=randrange(10**6), help="repeats a drill's instants")
    return parser.parse_args(arguments)


def summary(engine: engines.Engine, options: Namespace, done: Sequence[Try]) -> str:
    packages = f"Python {platform.python_version()}, Django {version('Django')}"
    cells = (
        f"{engine.version()}, {packages}",
        f"{options.rows:,}",
        f"{options.files:,}{', mounted' if options.mounted else ''}",
        len(done),
        sum(each.held is Held.OLD for each in done),
        sum(each.held is Held.NEW for each in done),
        sum(not each.is_consistent for each in done),
    )
    lines = (HEADER, ["---"] * len(HEADER), map(str, cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spelled(pace: Pace) -> str:
    words = (
        f"{seconds * 1000:.0f} ms after {sight.name.lower()}" for sight, seconds in pace.items()
    )
    return f"from one turning point to the next: {', '.join(words)}"


def emit(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
