"""The steps of a drill that are more than a load's: scratch places, and proofs.

What they do with rows and files is what a load does, by its own functions (`target`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

from diskette import conf, storages
from diskette.core import plan
from diskette.core.exceptions import DrillFailed
from diskette.core.lazy import Lazy
from diskette.core.plan import Kind
from diskette.core.report import JSON, Finding, PlannedStep, Severity, StepReport
from diskette.steps import load, target
from diskette.steps.context import Context

if TYPE_CHECKING:
    from diskette.data import apart
else:
    apart = Lazy("diskette.data.apart")

StepFunction = Callable[[Context], StepReport]


def options(archive: str) -> dict[str, JSON]:
    """A drill restores all of an archive, as a load of all of it would."""
    return {
        "archive": archive,
        "applications": [],
        "models": [],
        "exclude": [],
        "data": True,
        "storages": True,
        "mode": "replace",
        "ignore_nonexistent": False,
        "drop_stale": False,
        "checksum": None,
        "check": False,
    }


def plan_of() -> tuple[PlannedStep, ...]:
    """Raises ConfigurationError where a run would work in a directory that is live."""
    storages.resolve(existing=False)
    return plan.load_opening(Kind.DRILL)


def beside(step: StepFunction) -> StepFunction:
    """A load's step, with the scratch databases connected."""

    @wraps(step)
    def step_beside(context: Context) -> StepReport:
        with target.connected(context):
            return step(context)

    return step_beside


def check_compatibility(context: Context) -> StepReport:
    """Make the scratch databases, migrate them, and go on as a load does."""
    _make_scratches(context)
    return beside(load.check_compatibility)(context)


def carry_forward(context: Context) -> StepReport:
    """As a load does. The one database that the owner has given serves twice, one after another."""
    has_one = conf.scratch_database() is not None
    for scratch in target.scratches(context) if has_one else ():
        context.confirm()
        scratch.drop()
    output, findings = load.carried_rows(context)
    if has_one:
        _make_scratches(context)
    with target.connected(context):
        return load.take_carried(context, output, findings)


def _make_scratches(context: Context) -> None:
    for scratch in target.scratches(context):
        context.confirm()  # a late copy would make the one anew that is worked on
        scratch.create()
        scratch.migrate(None, context.tick)


def verify_load(context: Context) -> StepReport:
    """Digest the restored rows again, as after a load; then the files, as they lie on the disk."""
    report = beside(load.verify_load)(context)
    load.prove_files(context)
    if models := report.output["incomparable"]:
        return StepReport(stats=report.stats, output=report.output, findings=[_unproven(models)])
    return report


def run_check(context: Context) -> StepReport:
    """Ask the project's own check, in a process that can open no live database."""
    scratches = target.scratches(context)
    apart.run(
        f"{__name__}:call_check",
        {
            "database": scratches[0].database if scratches else None,
            "check": context.options["drill_check"],
            "directory": str(target.storages_path(context)),
            "media": _media(context),
        },
        databases={each.database: each.settings for each in scratches},
        log=context.workspace.path / "check.log",
        tick=context.tick,
    )
    return StepReport(stats={"check": context.options["drill_check"]})


def call_check(
    database: str | None, check: str, directory: str, media: str, tell: Callable[[int], None]
) -> None:
    """What the process apart does. Raises DrillFailed."""
    tell(0)
    conf.stand_in_media(Path(media))
    try:
        answer = import_string(check)(database, Path(directory))
    except (Exception, SystemExit) as error:
        raise DrillFailed(check, f"{type(error).__name__}: {error}") from error
    if answer is False:
        raise DrillFailed(check, "it returned False")


def _media(context: Context) -> str:
    """Where the drill has put MEDIA_ROOT; an empty place where no storage holds it."""
    media = conf.media_root().resolve()
    for entry in load.storages_of(context):
        live = (conf.storages_base() / entry.name).resolve()
        if media.is_relative_to(live):
            return str(target.live_path(context, entry.name) / media.relative_to(live))
    return str(context.workspace.path / "media")


def _unproven(models: list[str]) -> Finding:
    return Finding(
        code="drill-incomplete",
        severity=Severity.WARNING,
        message=f"{', '.join(models)}: restored, but not compared, for the fields here are not "
        "those of the archive.",
        hint="The archive is not noted as proven. Make a new dump: the next drill compares all.",
    )
