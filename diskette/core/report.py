"""What a step says: how far it is, what it counted, and what it found.

The JSON shapes here are a public contract (docs/results.md): they are what
django-celery-results stores and what `--format json` prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

JSON = Any
"""What `json.loads` may return."""


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem, as data. Codes are documented one by one in docs/findings.md."""

    code: str
    severity: Severity
    message: str
    """One sentence: the thing, then the cause."""
    hint: str = ""
    """The cure: a command or a line of settings."""
    definition: str | None = None
    model: str | None = None
    field: str | None = None
    target: str | None = None
    keys: tuple[JSON, ...] = ()
    """A sample of the keys that the problem is about."""
    objects: tuple[JSON, ...] = ()
    """A sample of the primary keys of the rows that have it."""
    count: int | None = None
    """How many rows, files or members have it."""

    def to_json(self) -> dict[str, JSON]:
        shape = {name: getattr(self, name) for name in self.__slots__}
        return shape | {
            "severity": self.severity.value,
            "keys": list(self.keys),
            "objects": list(self.objects),
        }

    @classmethod
    def from_json(cls, shape: Mapping[str, JSON]) -> Self:
        values = dict(shape)
        values["severity"] = Severity(values["severity"])
        for name in ("keys", "objects"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a step or a run is, in its own unit: rows, bytes, files or steps."""

    done: int = 0
    total: int = 0
    unit: str = "steps"

    @property
    def percent(self) -> float:
        """From 0 to 100; an unknown total counts as not begun."""
        if self.total <= 0:
            return 0.0
        return round(min(100.0, 100 * self.done / self.total), 1)

    def to_json(self) -> dict[str, JSON]:
        return {
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "percent": self.percent,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step to be done. Steps of one position may run side by side."""

    position: int
    name: str
    subject: str = ""
    weight: int = 1
    """Its share of the run's percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What a step function returns when it is done."""

    stats: Mapping[str, int | float | str | Mapping[str, int]] = field(default_factory=dict)
    """Plain numbers for people: rows, bytes, files; what was needed or used, by place."""
    findings: Sequence[Finding] = ()
    output: Mapping[str, JSON] = field(default_factory=dict)
    """What later steps need of it; kept in the step's row, never shown."""
    then: Sequence[PlannedStep] = ()
    """Steps that could not be known before this one was done."""
    skipped: bool = False
    """There was nothing to do, and a finding or a stat says why."""


def worst(findings: Sequence[Finding]) -> Severity | None:
    order = list(Severity)
    return max((f.severity for f in findings), key=order.index, default=None)


def distinct(shapes: Iterable[Mapping[str, JSON]]) -> list[Mapping[str, JSON]]:
    """Findings as JSON, each once, in their order.

    A step that refuses says again what steps before it have found.
    """
    told: list[Mapping[str, JSON]] = []
    for shape in shapes:
        if shape not in told:
            told.append(shape)
    return told
