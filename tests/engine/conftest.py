"""A run whose steps do what a test says, on the real rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from diskette import engine
from diskette.core.plan import Kind
from diskette.core.report import PlannedStep, StepReport
from diskette.models import Run, Step
from diskette.steps.context import Context

Work = Callable[[Context], StepReport]


def planned(*names: str, position: int | None = None) -> list[PlannedStep]:
    """Steps one after another; all at `position` when that is given."""
    return [
        PlannedStep(
            position=index if position is None else position,
            name=name.split(":")[0],
            subject=name.partition(":")[2],
        )
        for index, name in enumerate(names)
    ]


@pytest.fixture(autouse=True)
def workspace(settings, tmp_path):
    settings.DISKETTE_WORKSPACE = tmp_path / "workspace"
    return settings.DISKETTE_WORKSPACE


@pytest.fixture
def functions(monkeypatch):
    """What each step does, by name; nothing at all where a test says nothing."""

    class Functions(dict[tuple[str, str], Work]):
        def __missing__(self, key):
            return lambda context: StepReport()

    made = Functions()
    monkeypatch.setattr(engine, "FUNCTIONS", made)
    monkeypatch.setattr(engine, "BACKOFF_SECONDS", 0.0)
    return made


@pytest.fixture
def begin(functions):
    """Create a run of these steps; keyword arguments are what steps of a name do."""

    def begin(
        *names: str | PlannedStep, inline: bool = True, kind: Kind = Kind.DUMP, **work
    ) -> Run:
        functions.update({(kind.value, name): act for name, act in work.items()})
        steps = list(names) if not isinstance(names[0], str) else planned(*names)
        return engine.create(kind, {}, steps, inline=inline)

    return begin


def states(run: Run) -> dict[str, str]:
    return {str(step): step.state for step in run.steps.all()}


def the_step(run: Run, name: str) -> Step:
    return run.steps.get(name=name)
