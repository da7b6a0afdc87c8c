"""Removing what the retention no longer keeps: a dump's last work, and a run of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

import humanize
from django.utils import timezone

from diskette import conf
from diskette.core import catalog, retention, workspace
from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import UsageError
from diskette.core.logs import logger_of
from diskette.core.plan import Kind
from diskette.core.report import JSON, Finding, Severity, StepReport
from diskette.core.retention import Decision, Retention
from diskette.models import Archive, Run
from diskette.steps import proofs
from diskette.steps.context import Context

logger = logger_of(__name__)


def options(
    *,
    policy: Retention | None = None,
    label: str | None = None,
    destination: str | Path | None = None,
    approved: Iterable[str] | None = None,
) -> dict[str, JSON]:
    """What a prune's row keeps of how it was asked for; the settings' policy unless one is given.

    `approved`: names of the archives that may go, and no others, for these a person has seen.
    Raises UsageError for a destination that is not there.
    """
    if destination and not Path(destination).is_dir():
        raise UsageError(f"{destination} is no directory: nothing can be removed from it.")
    policy = policy or conf.retention()
    return {
        "policy": policy.to_json() if policy else None,
        "label": label or conf.label(),
        "destination": str(Path(destination).absolute() if destination else conf.destination()),
        "approved": None if approved is None else list(approved),
    }


def decisions(options: Mapping[str, JSON]) -> list[Decision]:
    """What the policy says of each archive of this label, and of what cannot be read there."""
    found = catalog.find(Path(options["destination"]))
    label = options["label"]
    ours = [each for each in found if each.manifest is None or each.label == label]
    policy = Retention.from_json(options["policy"]) if options["policy"] else None
    return retention.decide(list(with_history(ours)), policy, conf.now())


def prune(context: Context) -> StepReport:
    """Remove archives that the retention no longer keeps, the oldest first."""
    chosen = _options_of(context)
    if chosen is None:
        return StepReport(skipped=True, stats={"kept": "every archive is kept"})
    decided = decisions(chosen)
    going = [each for each in decided if not each.keep and _may_go(each, chosen)]
    going.sort(key=lambda each: each.archive.instant)
    context.expect(len(going), "archives")
    findings = [_set_aside(each) for each in decided if _is_doubtful(each)]
    gone = []
    for each in going:
        context.tick(0)
        context.confirm()
        findings.append(_remove(each, is_dump=context.run.kind == Kind.DUMP))
        gone += [] if each.archive.path.exists() else [each]
        context.tick(1)
    _settle_rows(Path(chosen["destination"]), decided)
    stats = {
        "removed": len(gone),
        "kept": len(decided) - len(gone),
        "removed_bytes": sum(each.archive.size for each in gone),
    }
    shapes = [each.to_json() for each in decided]
    return StepReport(stats=stats, findings=findings, output={"decisions": shapes})


def finish(context: Context) -> StepReport:
    """Sum up."""
    stats = context.run.steps.using(conf.database()).get(name="prune").stats
    Run.objects.using(conf.database()).filter(pk=context.run.pk).update(stats=stats)
    return StepReport()


def _options_of(context: Context) -> Mapping[str, JSON] | None:
    """None where nothing is to be removed: a safety copy's dump, another label's, or no policy.

    A label may be another project's that shares the destination, and a message may say any.
    """
    if context.run.kind == Kind.PRUNE:
        return context.options
    is_ours = context.options["purpose"] == "dump" and context.options["label"] == conf.label()
    if not conf.auto_purge() or not is_ours:
        return None
    if (policy := conf.retention()) is None:
        return None
    return {**context.options, "policy": policy.to_json()}


def _may_go(decision: Decision, chosen: Mapping[str, JSON]) -> bool:
    approved = chosen.get("approved")
    return approved is None or decision.archive.name in approved


def _remove(decision: Decision, *, is_dump: bool) -> Finding:
    archive = decision.archive
    try:
        archive.path.unlink()
    except FileNotFoundError:
        return Finding(
            code="archive-vanished",
            severity=Severity.INFO,
            message=f"{archive.name} was to be removed and was gone already.",
        )
    except OSError as error:
        logger.warning("%s could not be removed: %s", archive.path, error)
        return Finding(
            code="archive-not-removed",
            severity=Severity.WARNING if is_dump else Severity.ERROR,
            message=f"{archive.name} could not be removed: {error.strerror or error}.",
            hint=f"Let this account write to {archive.path.parent}; the next prune tries again.",
        )
    size = humanize.naturalsize(archive.size)
    logger.info("%s (%s) was removed: %s", archive.path, size, decision.reason)
    return Finding(
        code="archive-removed",
        severity=Severity.INFO,
        message=f"{archive.name} ({size}) was removed: {decision.reason}.",
    )


def _is_doubtful(decision: Decision) -> bool:
    return bool(decision.archive.set_aside) or decision.reason == retention.IN_FUTURE


def _set_aside(decision: Decision) -> Finding:
    archive = decision.archive
    why = f"{decision.reason} ({archive.error})" if archive.error else decision.reason
    return Finding(
        code="archive-set-aside",
        severity=Severity.INFO if archive.is_foreign else Severity.WARNING,
        message=f"{archive.name} is neither counted nor removed: {why.rstrip('.')}.",
        hint="Move it elsewhere, or remove it by hand once nobody needs it.",
    )


def _settle_rows(destination: Path, decided: Iterable[Decision]) -> None:
    """Mark what is gone, also what a prune that was cut off or a person has removed.

    A directory that is empty may be one that is not mounted: that says nothing.
    """
    if not any(each.archive.path.exists() for each in decided):
        return
    rows = Archive.objects.using(conf.database()).filter(removed_at=None)
    lost = [row.pk for row in rows if _is_gone(Path(row.path), destination)]
    rows.filter(pk__in=lost).update(removed_at=timezone.now())


def _is_gone(path: Path, destination: Path) -> bool:
    return path.parent == destination and not path.exists()


def with_history(archives: Sequence[ArchiveInfo]) -> Iterator[ArchiveInfo]:
    """With what only rows know: which loads proved an archive, what it was to hold, its damage."""
    damages = _damages(archives)
    chosen = _chosen(each.manifest.run for each in archives if each.manifest)
    for each in proofs.known(archives):
        asked = chosen.get(each.manifest.run, ()) if each.manifest else ()
        yield replace(each, damaged_at=damages.get(str(each.path)), chosen=asked)


def _chosen(runs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By dump, the definitions that were asked for; a site has far more dumps than archives."""
    ids = [UUID(each) for each in runs if workspace.UUID.fullmatch(each)]
    dumps = Run.objects.using(conf.database()).only("options").in_bulk(ids)
    return {str(pk): tuple(run.options.get("applications", ())) for pk, run in dumps.items()}


def _damages(archives: Sequence[ArchiveInfo]) -> dict[str, datetime]:
    """By path, when an archive was last found damaged, unless it was found right since."""
    found = proofs.rows_of(archives).exclude(damaged_at=None)
    return {each.path: each.damaged_at for each in found if each.damaged_at}
