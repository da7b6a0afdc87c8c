"""The figures that Diskette is to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.options import STORAGES
from benchmarks.rounds import Outcome
from benchmarks.tools import (
    Diskette,
    DisketteStorages,
    Fixtures,
    Original,
    OriginalStorages,
    PgDump,
    PgRestoreData,
    TarZstd,
    Tool,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    what: str
    value: float
    must: float
    aim: float
    unit: str
    more_is_better: bool = False

    @property
    def verdict(self) -> str:
        if self._reaches(self.aim):
            return "met, and the aim"
        return "met" if self._reaches(self.must) else "**missed**"

    def shown(self, number: float) -> str:
        digits = 0 if abs(number) >= 10 else 2  # noqa: PLR2004 - three digits at most
        return f"{number:.{digits}f} {self.unit}"

    def _reaches(self, wanted: float) -> bool:
        return self.value >= wanted if self.more_is_better else self.value <= wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Diskette with some rows and with four times as many."""

    small: Outcome
    large: Outcome

    @property
    def is_measured(self) -> bool:
        return self.small.is_measured and self.large.is_measured

    @property
    def figures(self) -> Iterator[Figure]:
        pairs = (("dump", self.small.dump, self.large.dump),)
        for direction, small, large in (*pairs, ("load", self.small.load, self.large.load)):
            per_cent = 100 * (large.peak_bytes / small.peak_bytes - 1)
            what = f"{self.small.subject}: {direction}, growth of memory for four times the rows"
            yield Figure(what=what, value=per_cent, must=10, aim=5, unit="%")


Seconds = Callable[[Outcome], float]


def dump_seconds(outcome: Outcome) -> float:
    return outcome.dump.seconds


def load_seconds(outcome: Outcome) -> float:
    return outcome.load.seconds


class Comparison:
    """Diskette beside one tool on one engine, for what both have done."""

    def __init__(
        self, outcomes: Sequence[Outcome], subject: str, ours: type[Tool], theirs: type[Tool]
    ) -> None:
        found = {type(each.tool): each for each in outcomes if each.subject == subject}
        self._pair = found.get(ours), found.get(theirs)
        self._subject = subject

    def faster(self, what: str, seconds: Seconds, must: float, aim: float) -> Iterator[Figure]:
        for ours, theirs in self._measured():
            yield Figure(
                what=f"{self._subject}: {what}",
                value=seconds(theirs) / seconds(ours),
                must=must,
                aim=aim,
                unit="times as fast",
                more_is_better=True,
            )

    def time(self, what: str, seconds: Seconds, must: float, aim: float) -> Iterator[Figure]:
        for ours, theirs in self._measured():
            ratio = seconds(ours) / seconds(theirs)
            named = f"{self._subject}: {what}"
            yield Figure(what=named, value=ratio, must=must, aim=aim, unit="of its time")

    def size(self) -> Iterator[Figure]:
        for ours, theirs in self._measured():
            ratio = ours.archive_bytes / theirs.archive_bytes
            what = f"{self._subject}: archive against the original's"
            yield Figure(what=what, value=ratio, must=1.0, aim=0.99, unit="of its size")

    def _measured(self) -> Iterator[tuple[Outcome, Outcome]]:
        ours, theirs = self._pair
        if ours and theirs and ours.is_measured and theirs.is_measured:
            yield ours, theirs


def figures(outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    """All that can be told from what was measured."""
    yield from _data(outcomes)
    yield from _storages(outcomes)
    for each in outcomes:
        if each.is_measured and isinstance(each.tool, Diskette):
            yield from _memory(each)
            yield from _check(each)


def _data(outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    for subject, dump, load in (
        ("postgresql", (25, 50), (25, 50)),
        ("sqlite", (10, 15), (20, 33)),
    ):
        fixtures = Comparison(outcomes, subject, Diskette, Fixtures)
        yield from fixtures.faster("dump against dumpdata", dump_seconds, *dump)
        yield from fixtures.faster("load against loaddata", load_seconds, *load)
        yield from Comparison(outcomes, subject, Diskette, Original).size()
    full = Comparison(outcomes, "postgresql", Diskette, PgDump)
    yield from full.time("dump against pg_dump -Fc", dump_seconds, 1.2, 0.8)
    yield from full.time("load against pg_restore, whole", load_seconds, 4, 2)
    data = Comparison(outcomes, "postgresql", Diskette, PgRestoreData)
    yield from data.time("load against pg_restore, data only", load_seconds, 4, 2)


def _storages(outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    beside_tar = Comparison(outcomes, STORAGES, DisketteStorages, TarZstd)
    yield from beside_tar.time("dump against tar and zstd", dump_seconds, 1.6, 1.0)
    yield from beside_tar.time("load against zstd and tar", load_seconds, 1.6, 1.0)
    yield from Comparison(outcomes, STORAGES, DisketteStorages, OriginalStorages).size()


def _memory(outcome: Outcome) -> Iterator[Figure]:
    for direction, medians in (("dump", outcome.dump), ("load", outcome.load)):
        what = f"{outcome.subject}: {direction}, peak memory"
        yield Figure(what=what, value=medians.peak_bytes / 10**6, must=150, aim=120, unit="MB")


def _check(outcome: Outcome) -> Iterator[Figure]:
    if outcome.check.taken:
        ratio = outcome.check.seconds / dump_seconds(outcome)
        what = f"{outcome.subject}: diskette_check --data against diskette_dump"
        yield Figure(what=what, value=ratio, must=1.0, aim=1.0, unit="of its time")


def step(seconds: float) -> Figure:
    what = "one step's cost of being a task"
    return Figure(what=what, value=seconds * 1000, must=100, aim=30, unit="ms")
