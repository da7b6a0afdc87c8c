"""`python -m benchmarks`: make the data, let the tools take turns, print what came out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import engines, environments, profiling, steps
from benchmarks.figures import Growth
from benchmarks.media import make_media
from benchmarks.options import BY_HAND, ENGINES, PAGE, STORAGES, Options, parse
from benchmarks.places import Place
from benchmarks.report import Report, markdown
from benchmarks.rounds import GROWTH, Field, Outcome, Rounds, outcomes, say
from benchmarks.tools import Diskette, data_tools, storage_tools
from worker.servers import new_directory


def main(arguments: Sequence[str]) -> int:
    """1 if a tool did not bring everything back, but for what it is known to lose."""
    options = parse(arguments)
    environments.compile_packages()
    arena = make_field(new_directory("diskette-benchmark-"))
    with ExitStack() as stack:
        opened = [
            stack.enter_context(engines.opened(name, arena.directory)) for name in options.engines
        ]
        if options.profile:
            profiling.show(arena, opened, options.rows)
            return 0
        report = measured(arena, opened, options)
    text = markdown(report)
    sys.stdout.write(text)
    if options.write:
        rewrite(text)
    return 0 if all(outcome.is_right for outcome in report.outcomes) else 1


def rewrite(text: str) -> None:
    """Put the tables into the page; what is written there by hand stays."""
    _, _, by_hand = PAGE.read_text().partition(BY_HAND)
    PAGE.write_text(f"{text}\n{BY_HAND}{by_hand}")


def make_field(directory: Path) -> Field:
    scratch = directory / "scratch"
    scratch.mkdir()
    return Field(
        directory=directory,
        home=environments.make_home(directory),
        scratch=scratch,
        media=directory / "source" / "media",
    )


def measured(arena: Field, opened: list[engines.Engine], options: Options) -> Report:
    """Everything asked for, or what was done of it when Ctrl-C came."""
    report = Report(options=options, machine=environments.description(opened))
    try:
        fill(report, arena, opened)
    except KeyboardInterrupt:
        report.is_interrupted = True
    return report


def fill(report: Report, arena: Field, opened: list[engines.Engine]) -> None:
    options = report.options
    if options.steps:
        report.step_seconds = steps.seconds_of_one(arena.directory)
    if options.media_mb:
        storage_rounds(report, arena)
    for engine in opened:
        say(f"{engine.name}: {options.rows} rows")
        rounds = data_rounds(report, arena, engine)
        if options.growth:
            report.growths.append(growth(rounds, options))


def data_rounds(report: Report, arena: Field, engine: engines.Engine) -> Rounds:
    tools = data_tools(environments.original_python())
    source = arena.source(engine, report.options.rows)
    return play(report, arena, engine, source, outcomes(engine.name, tools, report.options.tools))


def storage_rounds(report: Report, arena: Field) -> None:
    options = report.options
    say(f"{STORAGES}: {options.media_mb} MB in {options.files} files")
    make_media(arena.media, size=options.media_mb * 10**6, files=options.files)
    directory = arena.directory / STORAGES
    directory.mkdir()
    tools = storage_tools(environments.original_python())
    with engines.opened(ENGINES[-1], directory) as engine:
        play(
            report, arena, engine, arena.source(engine, 0), outcomes(STORAGES, tools, options.tools)
        )


def play(
    report: Report, arena: Field, engine: engines.Engine, source: Place, turns: list[Outcome]
) -> Rounds:
    """All rounds; their outcomes are in the report from the beginning."""
    rounds = Rounds(arena=arena, engine=engine, source=source, outcomes=turns)
    report.outcomes += turns
    rounds.play(report.options)
    return rounds


def growth(rounds: Rounds, options: Options) -> Growth:
    """Diskette's memory with more rows beside what it was."""
    small = next(each for each in rounds.outcomes if isinstance(each.tool, Diskette))
    large = Outcome(subject=rounds.engine.name, tool=Diskette())
    source = rounds.arena.filled(rounds.engine, "large", options.rows * GROWTH)
    more = Rounds(arena=rounds.arena, engine=rounds.engine, source=source, outcomes=[large])
    more.turn(large)
    return Growth(small=small, large=large)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
