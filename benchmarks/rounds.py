"""The rounds: every tool dumps and loads in turn, again and again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks import files
from benchmarks.checksums import losses
from benchmarks.engines import Engine, Target
from benchmarks.measuring import Call, Taken, ToolFailed, measure, run
from benchmarks.options import STORAGES, Options
from benchmarks.places import Place
from benchmarks.tools import Tool

GROWTH = 4


@dataclass(kw_only=True)
class Medians:
    """Of one direction of a tool."""

    taken: list[Taken] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(each.seconds for each in self.taken)

    @property
    def cpu_seconds(self) -> float:
        return median(each.cpu_seconds for each in self.taken)

    @property
    def server_cpu_seconds(self) -> float | None:
        return median(self.server_cpu) if self.server_cpu else None

    @property
    def peak_bytes(self) -> int:
        return int(median(each.peak_bytes for each in self.taken))


@dataclass(kw_only=True)
class Outcome:
    """What came of a tool on an engine, or on the storages."""

    subject: str
    tool: Tool
    dump: Medians = field(default_factory=Medians)
    load: Medians = field(default_factory=Medians)
    check: Medians = field(default_factory=Medians)
    archive_bytes: int = 0
    losses: set[str] = field(default_factory=set)
    failure: str = ""
    absent: list[str] = field(default_factory=list)

    @property
    def is_measured(self) -> bool:
        return bool(self.load.taken) and not self.failure

    @property
    def is_right(self) -> bool:
        return not self.failure and self.losses <= self.tool.known_losses

    @property
    def verdict(self) -> str:
        if self.absent:
            return f"not run: {', '.join(self.absent)} not found"
        if self.failure:
            return "failed"
        same = "same" if self.is_right else "DIFFERENT"
        return f"{same} but {', '.join(sorted(self.losses))}" if self.losses else same


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Where all of it takes place."""

    directory: Path
    home: Path
    scratch: Path
    media: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def place(self, url: str, engine: Engine, media: Path | None = None) -> Place:
        archives = self.directory / "archives"
        archives.mkdir(exist_ok=True)
        return Place(
            home=self.home,
            archives=archives,
            database_url=url,
            media=media or self.media,
            variables=engine.variables,
        )

    def new_media(self) -> Path:
        """A place for one more tree. A removed one would slow down the next on ext4."""
        return self.directory / f"restored-{next(self._numbers)}" / "media"

    def source(self, engine: Engine, rows: int) -> Place:
        """A filled database; the templates for targets are made with it."""
        place = self.place(engine.create(Target.MIGRATED), engine)
        self._django(place, "-m", "django", "migrate", "-v0")
        engine.create(Target.EMPTIED, Target.MIGRATED)
        engine.empty(Target.EMPTIED)
        return self.filled(engine, "source", rows)

    def filled(self, engine: Engine, name: str, rows: int) -> Place:
        place = self.place(engine.create(name, Target.MIGRATED), engine)
        self._django(place, "-m", "benchmarks.project.fill", str(rows))
        engine.settle()
        return place

    def _django(self, place: Place, *arguments: str) -> None:
        call = Call(
            command=[sys.executable, "-P", *arguments],
            variables=place.environment("diskette"),
            directory=self.directory,
        )
        run(call, self.scratch)


@dataclass(kw_only=True)
class Rounds:
    """Tools taking turns on one source."""

    arena: Field
    engine: Engine
    source: Place
    outcomes: list[Outcome]

    def play(self, options: Options) -> None:
        for number in range(options.rounds):
            for outcome in self.outcomes:
                if not outcome.tool.is_slow or number >= options.first_slow_round:
                    self.turn(outcome)

    def turn(self, outcome: Outcome) -> None:
        """One dump, one load, one comparison; a failure ends the tool's part."""
        outcome.absent = outcome.tool.missing()
        if outcome.absent or outcome.failure:
            return
        say(f"{outcome.subject}: {outcome.tool.name}")
        try:
            self._turn(outcome)
        except ToolFailed as failure:
            outcome.failure = str(failure)
            say(outcome.failure)

    def _turn(self, outcome: Outcome) -> None:
        tool = outcome.tool
        archive = self.source.archives / tool.archive
        archive.unlink(missing_ok=True)
        self._measure(outcome.dump, tool.dump(self.source))
        outcome.archive_bytes = archive.stat().st_size
        if outcome.subject != STORAGES and (check := tool.check(self.source)):
            self._measure(outcome.check, check)
        target = self._target(outcome)
        self._measure(outcome.load, tool.load(target))
        outcome.losses |= set(self._losses(outcome, target))
        say(f"  {outcome.dump.taken[-1]}\n  {outcome.load.taken[-1]}\n  {outcome.verdict}")

    def _target(self, outcome: Outcome) -> Place:
        storages = outcome.subject == STORAGES
        url = self.engine.target(outcome.tool.target)
        return self.arena.place(url, self.engine, self.arena.new_media() if storages else None)

    def _losses(self, outcome: Outcome, target: Place) -> list[str]:
        if outcome.subject == STORAGES:
            return files.losses(self.source.media, target.media)
        checksums = self.engine.checksums
        return losses(checksums(self.source.database_url), checksums(target.database_url))

    def _measure(self, medians: Medians, call: Call) -> None:
        self.engine.settle()
        before = self.engine.server_cpu_seconds()
        medians.taken.append(measure(call, self.arena.scratch))
        after = self.engine.server_cpu_seconds()
        if before is not None and after is not None:
            medians.server_cpu.append(after - before)


def outcomes(subject: str, tools: Sequence[Tool], chosen: Sequence[str]) -> list[Outcome]:
    """One for each tool that can and shall."""
    return [
        Outcome(subject=subject, tool=tool)
        for tool in tools
        if (subject == STORAGES or subject in tool.engines) and (not chosen or tool.name in chosen)
    ]


def say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
