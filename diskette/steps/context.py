"""What a step function is given, and the pulse it shares with its heartbeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from diskette import conf
from diskette.core.exceptions import Stopped
from diskette.core.report import JSON, PlannedStep
from diskette.core.workspace import Workspace
from diskette.models import Run, Step


@dataclass(slots=True)
class Pulse:
    """How far a step is, written by the step, read by the heartbeat; and the word to stop."""

    done: int = 0
    total: int = 0
    unit: str = ""
    stop: str = ""
    """Why the step must end; empty while it may go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One taking of one step."""

    run: Run
    step: Step
    workspace: Workspace
    pulse: Pulse = field(default_factory=Pulse)
    confirm: Callable[[], None]
    """Raises Stopped unless the step is still this taker's; asked before what cannot be undone."""
    nested: Callable[[Mapping[str, JSON], Iterable[PlannedStep]], Run]
    """Makes a dump within this run, under its lock, and returns it ended."""
    _left: dict[str, dict[str, Mapping[str, JSON]]] = field(default_factory=dict)
    """What earlier steps left, as far as it was asked for: it does not change any more."""

    @property
    def subject(self) -> str:
        return self.step.subject

    @property
    def options(self) -> Mapping[str, JSON]:
        return dict(self.run.options)

    def expect(self, total: int, unit: str) -> None:
        """Say how much there is to do, in rows, bytes or files."""
        self.pulse.done, self.pulse.total, self.pulse.unit = 0, total, unit

    def tick(self, done: int) -> None:
        """Count what was done. Raises Stopped when the step must end."""
        self.pulse.done += done
        if self.pulse.stop:
            raise Stopped(self.pulse.stop)

    def output(self, name: str, subject: str = "") -> Mapping[str, JSON]:
        """What an earlier step of this run left for later ones."""
        return self.outputs(name)[subject]

    def room(self) -> dict[str, dict[str, int]]:
        """By place: bytes thought to be needed, and the most that were taken at a time."""
        steps = self.run.steps.using(conf.database())
        used = most_used(step.output.get("used", {}) for step in steps)
        told = {"needed_bytes": self.output("check_space")["needed"], "used_bytes": used}
        return {name: places for name, places in told.items() if places}

    def outputs(self, name: str) -> dict[str, Mapping[str, JSON]]:
        """The same of all steps of one name, by subject, in order."""
        if name not in self._left:
            done = self.run.steps.using(conf.database()).filter(name=name)
            self._left[name] = {step.subject: step.output for step in done}
        return self._left[name]


def most_used(seen: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """By place. What storages take beside their trees adds up; all else was seen anew each time."""
    used: dict[str, int] = {}
    for each in seen:
        for place, size in each.items():
            before = used.get(place, 0)
            used[place] = before + size if place == "media" else max(before, size)
    return used
