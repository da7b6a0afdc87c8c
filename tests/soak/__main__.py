"""`python -m tests.soak --minutes 60 --seed 1`: exit code 1 if a run is stuck, wrong or untidy.

Every chance comes from the seed, but what a fault meets is for the clock to say: the same seed
throws the same faults at the same seconds, and finds the same defect more often than not.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, randrange

from tests import servers
from tests import yard as yards
from tests.kills.scene import LEASE_SECONDS, PATIENCE_SECONDS, Ended, ended
from tests.soak.strikes import STRIKES
from tests.yard import Yard
from worker.servers import new_directory

MOST_STRIKES = 3
PAUSE_SECONDS = 2.5
LOOK_SECONDS = 0.2
MENDED_AFTER_SECONDS = LEASE_SECONDS + 4
"""At the latest: some leases lapse, others do not."""
KEPT = '{"last": 4}'
STRUCK = {"lease-lost", "database-away", "snapshot-lost", "time-limit", "leftover"}
"""Why a run may fail that was struck; all else is a defect."""
OF_A_CHILD = {"run-failed"}
"""Told of a load beside what its safety dump failed for, and never alone."""


class Stuck(Exception):
    """A run that goes on though everything is up again; the text is its story."""


@dataclass(kw_only=True)
class Soak:
    """`pictures`: what each archive was made of."""

    yard: Yard
    random: Random
    pictures: dict[Path, Mapping[str, str]] = field(default_factory=dict)

    def rounds(self, until: float) -> Iterator[tuple[str, list[str]]]:
        """How each run came out, and what was wrong with it."""
        self.pictures[self.yard.archive] = self.yard.whole
        while time.monotonic() < until:
            yield self.round()

    def round(self) -> tuple[str, list[str]]:
        if self.random.random() < 1 / 2:
            self.yard.harm()
        before, begun = self.yard.picture(), time.monotonic()
        archive = self.random.choice(self.archives())
        loads = self.random.random() < 1 / 2
        run = self.begin(archive if loads else None)
        strikes = list(self.struck(run))
        end = self.mended(run)
        seconds = time.monotonic() - begun
        wrong = [*self.wrong(end, before, archive), *self.yard.left()]
        return f"{end!s:32} | {seconds:5.1f} s | {', '.join(strikes) or '-'}", wrong

    def archives(self) -> list[Path]:
        return sorted(path for path in self.pictures if path.exists())

    def begin(self, archive: Path | None) -> str:
        if archive is None:
            return self.yard.begin_dump()
        safety = self.random.choice([(), ("--no-safety-dump",)])
        return self.yard.begin("diskette_load", archive.name, "--no-input", *safety)

    def struck(self, run: str) -> Iterator[str]:
        """Strike a few times and let it be for a while; tells by what."""
        for name in self.random.choices(list(STRIKES), k=self.random.randint(0, MOST_STRIKES)):
            time.sleep(self.random.uniform(0, PAUSE_SECONDS))
            STRIKES[name](self.yard, self.random, run)
            yield name
        time.sleep(self.random.uniform(0, MENDED_AFTER_SECONDS))

    def mended(self, run: str) -> Ended:
        """What came of the run where everything is up again, also what ends later."""
        self.yard.mend()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.yard.has_ended(run) and time.monotonic() < deadline:
            self.yard.mend()
            time.sleep(LOOK_SECONDS)
        if not self.yard.has_ended(run):
            raise Stuck(self.yard.story(run))
        return ended(self.yard.site, run)

    def wrong(self, end: Ended, before: Mapping[str, str], archive: Path) -> Iterator[str]:
        """Rows, files or archives that are not what the run says."""
        loaded = (end.kind, end.state) == ("load", "succeeded")
        if self.yard.picture() != (self.pictures[archive] if loaded else before):
            yield "rows or files are neither as before nor as in the archive"
        if end.state == "failed" and not _is_explained(set(end.codes)):
            yield f"failed for {', '.join(end.codes)}"
        if (end.kind, end.state) == ("dump", "succeeded") and not end.archive.exists():
            yield f"{end.archive} is not there"
        for path in self.yard.site.archives.glob("*.tar"):
            self.pictures.setdefault(path, before)


def _is_explained(codes: set[str]) -> bool:
    return bool(codes - OF_A_CHILD) and codes - OF_A_CHILD <= STRUCK


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    os.environ.setdefault(servers.DIRECTORY, str(new_directory("diskette-soak-")))
    emit(f"seed {options.seed}")
    came_out: Counter[str] = Counter()
    problems = 0
    with yards.opened(DISKETTE_RETENTION=KEPT) as yard:
        soak = Soak(yard=yard, random=Random(options.seed))
        for told, wrong in soak.rounds(until=time.monotonic() + 60 * options.minutes):
            emit(f"{came_out.total() + 1:4} | {told}")
            for each in wrong:
                emit(f"     !! {each}")
            came_out[told.split("|")[0].split("(")[0].strip()] += 1
            problems += bool(wrong)
    counts = ", ".join(f"{count} x {name}" for name, count in sorted(came_out.items()))
    emit(f"{came_out.total()} runs with seed {options.seed}: {counts}; {problems} wrong")
    return 1 if problems or not came_out else 0


def parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=randrange(10**6), help="repeats the faults")
    return parser.parse_args(arguments)


def emit(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
