"""One load after another: seen at work, killed, healed, looked at."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice
from random import Random
from signal import SIGKILL
from typing import Any

from tests.kills.drill.arena import Arena
from tests.kills.drill.states import Held, Picture
from tests.leftovers import connected, counted
from worker.sites import COMMAND_SECONDS

LOOK_SECONDS = 0.002
CHANGED_NOTHING = "Nothing was changed"
FAILED = f"failed lease-lost, {CHANGED_NOTHING.lower()}"
SUCCEEDED = "succeeded"
STEP_AT_WORK = (
    "SELECT count(*) FROM diskette_step"
    " WHERE run_id IN (SELECT id FROM diskette_run WHERE finished_at IS NULL)"
)
RIGHT = {(FAILED, Held.OLD), (SUCCEEDED, Held.NEW)}


class Sight(StrEnum):
    """What is waited for, by the query that counts it; loads that have ended do not count."""

    STAGE = f"{STEP_AT_WORK} AND name = 'stage_storage' AND state IN ('running', 'succeeded')"
    APPLY = f"{STEP_AT_WORK} AND name = 'apply' AND state IN ('running', 'succeeded')"
    COMMIT = (
        "SELECT count(*) FROM diskette_run WHERE finished_at IS NULL AND applied_at IS NOT NULL"
    )


Window = tuple[Sight, float, float]
"""When to kill, in parts of the time from what is seen until the load's next turning point."""

WINDOWS: Sequence[Window] = (
    (Sight.APPLY, 0.0, 1.0),
    (Sight.APPLY, 0.9, 1.1),
    (Sight.COMMIT, 0.0, 1.0),
    (Sight.APPLY, 0.0, 1.0),
    (Sight.APPLY, 0.0, 1.0),
)
"""Of rows alone: most anywhere in `apply`, some close to its commit, some when it is done."""

WINDOWS_WITH_FILES: Sequence[Window] = (
    (Sight.STAGE, 0.0, 1.0),
    (Sight.COMMIT, 0.0, 0.2),
    (Sight.APPLY, 0.8, 1.2),
    (Sight.COMMIT, 0.0, 1.0),
    (Sight.STAGE, 0.0, 1.0),
)
"""Files are staged before `apply`, and swapped right after its commit."""


OF_ROWS = (Sight.APPLY, Sight.COMMIT)


class DrillFailed(Exception):
    """A load that nobody killed did not do what loads do; the text is what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """To kill so many seconds after what is seen."""

    sight: Sight
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds * 1000:6.0f} ms after {self.sight.name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """What came of one load."""

    aim: Aim
    was_killed: bool
    """False: it had ended by then."""
    said: str
    differences: dict[Held, list[str]]
    leftovers: list[str]

    @property
    def held(self) -> Held:
        return next((held for held, found in self.differences.items() if not found), Held.NEITHER)

    @property
    def is_consistent(self) -> bool:
        return (self.said, self.held) in RIGHT and not self.leftovers

    def __str__(self) -> str:
        kill = str(self.aim) if self.was_killed else f"{self.aim}, too late"
        words = [kill, f"the run: {self.said}", f"the site: {self.held}"]
        return " | ".join(words if self.is_consistent else [*words, *self._complaints()])

    def _complaints(self) -> Iterator[str]:
        yield "INCONSISTENT"
        for held, found in self.differences.items():
            if found:
                yield f"not {held}: {', '.join(found)}"
        if self.leftovers:
            yield f"left: {', '.join(self.leftovers)}"


Pace = Mapping[Sight, float]
"""Seconds from what is seen to the next turning point: the commit, and the load's end."""


def aims(random: Random, pace: Pace, windows: Sequence[Window]) -> Iterator[Aim]:
    for sight, earliest, latest in cycle(windows):
        yield Aim(sight=sight, seconds=random.uniform(earliest, latest) * pace[sight])


def let_through(arena: Arena) -> Pace:
    """Load without a kill, so that NEW is known."""
    load, began = arena.start_load(), {}
    for sight in (Sight.STAGE, Sight.APPLY, Sight.COMMIT) if arena.trees else OF_ROWS:
        await_sight(arena, load, sight)
        began[sight] = time.monotonic()
    code, ended = load.wait(), time.monotonic()
    loaded = arena.picture() if code == 0 else None
    if loaded is None or _contents(loaded) != _contents(arena.source) or arena.leftovers():
        raise DrillFailed(arena.log.read_text())
    arena.new = loaded
    arena.put_old_back()
    commit = began.pop(Sight.COMMIT)
    return {Sight.COMMIT: ended - commit} | {each: commit - at for each, at in began.items()}


def _contents(found: Picture) -> tuple[object, ...]:
    return found.tables, found.files


def tries(arena: Arena, random: Random, pace: Pace, number: int) -> Iterator[Try]:
    windows = WINDOWS_WITH_FILES if arena.trees else WINDOWS
    for aim in islice(aims(random, pace, windows), number):
        done = attempt(arena, aim)
        yield done
        if done.held is not Held.OLD or not done.is_consistent:
            arena.put_old_back()


def attempt(arena: Arena, aim: Aim) -> Try:
    load = arena.start_load()
    await_sight(arena, load, aim.sight)
    time.sleep(aim.seconds)
    was_killed = load.poll() is None
    kill(load)
    return Try(
        aim=aim,
        was_killed=was_killed,
        said=said(json.loads(arena.site.manage("diskette_status", "latest", "--format", "json"))),
        differences=arena.differences(),
        leftovers=arena.leftovers(),
    )


def await_sight(arena: Arena, load: subprocess.Popen[bytes], sight: Sight) -> None:
    """Return when it is seen, or the load has ended."""
    deadline = time.monotonic() + COMMAND_SECONDS
    with connected(arena.site.database_url) as ask:
        while load.poll() is None and not counted(ask, sight):
            if time.monotonic() > deadline:
                raise DrillFailed(arena.log.read_text())
            time.sleep(LOOK_SECONDS)


def kill(load: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(load.pid, SIGKILL)
    load.wait()


def said(result: dict[str, Any]) -> str:
    """How the run ended, in few words."""
    findings = result["findings"]
    words = " ".join([result["state"], *(finding["code"] for finding in findings)])
    unchanged = any(CHANGED_NOTHING in finding["hint"] for finding in findings)
    return f"{words}, {CHANGED_NOTHING.lower()}" if unchanged else words
