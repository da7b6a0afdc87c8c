"""The steps of each kind of run, in order, and which of them may be tried again."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from enum import StrEnum
from itertools import chain

from diskette.core.report import PlannedStep


class Kind(StrEnum):
    DUMP = "dump"
    LOAD = "load"
    DRILL = "drill"
    PRUNE = "prune"


class State(StrEnum):
    """Of runs and steps. A run or step in one of ENDED never changes again."""

    PENDING = "pending"
    """It waits for steps before it."""
    READY = "ready"
    """It may be taken."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """A step with nothing to do; a run refused because another was active."""
    CANCELLED = "cancelled"


ENDED = (State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED)

ORDER: dict[Kind, tuple[str, ...]] = {
    Kind.DUMP: (
        "check_space",
        "open_snapshot",
        "dump_application",
        "assemble_archive",
        "verify_archive",
        "publish_archive",
        "prune",
        "finish",
    ),
    Kind.LOAD: (
        "fetch_archive",
        "check_space",
        "verify_archive",
        "extract_archive",
        "check_compatibility",
        "load_application",
        "check_integrity",
        "stage_storage",
        "safety_dump",
        "apply",
        "verify_load",
        "finish",
    ),
    Kind.DRILL: (
        "fetch_archive",
        "check_space",
        "verify_archive",
        "extract_archive",
        "check_compatibility",
        "load_application",
        "check_integrity",
        "stage_storage",
        "apply",
        "verify_load",
        "run_check",
        "finish",
    ),
    Kind.PRUNE: ("prune", "finish"),
}

BESIDE = {"check_data": "dump_application", "collect_storage": "dump_application"}
"""Steps done side by side with those of another name."""

FOLLOWING = {"carry_forward": "check_compatibility"}
"""Steps that come after another one where that finds them needed."""

NAMES = tuple(sorted({*chain.from_iterable(ORDER.values()), *BESIDE, *FOLLOWING}))
"""Of every step that any run may have."""

SNAPSHOT_PARTS = ("open_snapshot", "dump_application", "check_data")
"""What is done anew, whole, when the database's instant is lost."""

INTERRUPTIBLE = (
    *("check_space", "open_snapshot", "dump_application", "check_data"),
    *("check_compatibility", "carry_forward", "load_application", "check_integrity"),
    *("verify_load", "run_check"),
)
"""Steps whose statements may be cut short: none changes what outlives the run."""

MAX_ATTEMPTS = 3
FORWARD_ATTEMPTS = 20
"""Once data is applied a load can only go forward, so it is given up late."""

PLACES_PER_NAME = 10_000
WEIGHTS = {
    "dump_application": 10,
    "collect_storage": 10,
    "assemble_archive": 5,
    "verify_archive": 5,
    "check_data": 2,
    "extract_archive": 3,
    "carry_forward": 10,
    "load_application": 10,
    "check_integrity": 3,
    "stage_storage": 10,
    "safety_dump": 10,
    "apply": 15,
    "verify_load": 5,
    "run_check": 3,
}


def step(kind: Kind, name: str, subject: str = "", place: int = 0) -> PlannedStep:
    """A step at its position; steps of one name and different places go one after another."""
    index = ORDER[kind].index((BESIDE | FOLLOWING).get(name, name))
    return PlannedStep(
        position=index * PLACES_PER_NAME + place,
        name=name,
        subject=subject,
        weight=WEIGHTS.get(name, 1),
    )


def dump_plan(
    applications: Iterable[str], storages: Iterable[str], *, led: Container[str] = ()
) -> tuple[PlannedStep, ...]:
    """Every step of a dump: its applications and storages are done side by side.

    `led`: applications that come after the others, for one of those dumps them along.
    """
    applications = tuple(applications)
    parts = [
        step(Kind.DUMP, "dump_application", name, place=int(name in led)) for name in applications
    ]
    parts += [step(Kind.DUMP, "collect_storage", name) for name in storages]
    parts += [step(Kind.DUMP, "check_data")] if applications else []
    single = [
        step(Kind.DUMP, name)
        for name in ORDER[Kind.DUMP]
        if name != "dump_application" and (applications or name != "open_snapshot")
    ]
    return _ordered([*single, *parts])


def load_opening(kind: Kind = Kind.LOAD) -> tuple[PlannedStep, ...]:
    """What a load or drill does before its archive is known."""
    return (step(kind, "fetch_archive"),)


def load_plan(
    applications: Sequence[str], storages: Sequence[str], *, check_only: bool, safety: bool
) -> tuple[PlannedStep, ...]:
    """The rest of a load. `check_only` leaves out all that would change anything."""
    if check_only:
        return _loading(Kind.LOAD, applications, (), ())
    names = ["safety_dump"] if safety else []
    return _loading(Kind.LOAD, applications, storages, [*names, "apply", "verify_load"])


def drill_plan(
    applications: Sequence[str], storages: Sequence[str], *, checked: bool
) -> tuple[PlannedStep, ...]:
    """The rest of a drill. `checked`: the project has a check of its own."""
    names = ["apply", "verify_load", *(["run_check"] if checked else [])]
    return _loading(Kind.DRILL, applications, storages, names)


def _loading(
    kind: Kind, applications: Sequence[str], storages: Sequence[str], ending: Sequence[str]
) -> tuple[PlannedStep, ...]:
    names = ["check_space", "verify_archive", "extract_archive", "check_compatibility"]
    names += ["check_integrity"] if applications else []
    parts = [step(kind, "load_application", name, place) for place, name in enumerate(applications)]
    parts += [step(kind, "stage_storage", name) for name in storages]
    return _ordered([*(step(kind, name) for name in (*names, *ending, "finish")), *parts])


def carry_forward(kind: Kind) -> PlannedStep:
    """What comes between comparing versions and reading rows, where versions differ so."""
    return step(kind, "carry_forward", place=1)


def prune_plan() -> tuple[PlannedStep, ...]:
    return tuple(step(Kind.PRUNE, name) for name in ORDER[Kind.PRUNE])


def attempts_allowed(kind: str, name: str, *, applied: bool) -> int:
    """How often a step may be taken.

    A load's `apply` that was cut off before its commit has changed nothing and is not repeated by
    itself: whoever started the load decides. After the commit it must be finished.
    """
    if applied:
        return FORWARD_ATTEMPTS
    return 1 if (kind, name) == (Kind.LOAD, "apply") else MAX_ATTEMPTS


def _ordered(steps: Iterable[PlannedStep]) -> tuple[PlannedStep, ...]:
    return tuple(sorted(steps, key=lambda each: (each.position, each.name)))
