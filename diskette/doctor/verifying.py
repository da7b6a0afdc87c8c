"""Archives of the destination examined, and what came of it kept in their rows.

A share of them is chosen by when each was last examined, whatever came of it: those that never
were come first, then those for which it is longest ago. So whoever examines a tenth each night
has examined all of them after ten nights.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from diskette import conf, signals
from diskette.core import catalog
from diskette.core.checksum import Tick, uncounted
from diskette.core.files import is_gzip
from diskette.core.logs import logger_of
from diskette.core.report import Finding, Severity
from diskette.doctor import archives, originals
from diskette.doctor.archives import State, Verdict
from diskette.models import Archive, stored

logger = logger_of(__name__)


def work(path: Path) -> int:
    """Bytes that verifying it will tick. Raises ArchiveNotFound."""
    info = catalog.read(path)
    return originals.work(info) if is_gzip(path) else archives.work(info)


def sample(share: float, destination: Path | None = None) -> list[Path]:
    """So large a share of the destination's archives, at least one if there is any.

    Those first that were never examined, or longest ago; of these the newest.
    """
    found = [each.path for each in catalog.find(destination or conf.destination())]
    looked_at = _looked_at()
    never = [path for path in found if str(path) not in looked_at]
    later = sorted((p for p in found if str(p) in looked_at), key=lambda p: looked_at[str(p)])
    return [*never, *later][: math.ceil(share * len(found))]


def verify(path: Path, tick: Tick = uncounted) -> Verdict:
    """Examine one archive and keep in its row what came of it.

    What lies in the destination gets a row, if it has none; elsewhere only known archives have
    one. A file that is whole, but not the one that was published, is told by a warning. Of the
    original's archives no rows are kept.
    """
    if is_gzip(path):
        return originals.examine(path, tick)
    verdict = archives.examine(path, tick)
    known = Archive.objects.using(conf.database()).filter(path=str(path)).first()
    if verdict.state is State.FOREIGN and known is not None:
        verdict = replace(verdict, state=State.DAMAGED)
    if verdict.state in {State.WHOLE, State.DAMAGED}:
        verdict = _compared(verdict, known)
        _keep(verdict, known)
        was_damaged = known is not None and known.damaged_at is not None
        told = signals.tell_verified(path, verdict.state, verdict.findings, was_damaged=was_damaged)
        verdict = replace(verdict, findings=(*verdict.findings, *told))
    if verdict.state is State.DAMAGED:
        logger.error("%s is damaged: %s", path, "; ".join(f.message for f in verdict.findings))
    return verdict


def verify_sample(share: float, tick: Tick = uncounted) -> list[Verdict]:
    """Verify a share of the destination's archives. Where it is cut off, what was done is kept."""
    return [verify(path, tick) for path in sample(share)]


def _looked_at() -> dict[str, datetime]:
    """By path, when each archive was last examined."""
    rows = Archive.objects.using(conf.database()).values_list("path", "verified_at", "damaged_at")
    return {path: max(filter(None, instants)) for path, *instants in rows if any(instants)}


def _compared(verdict: Verdict, known: Archive | None) -> Verdict:
    if not verdict.sha256 or known is None or known.sha256 in {"", verdict.sha256}:
        return verdict
    changed = Finding(
        code="archive-changed",
        severity=Severity.WARNING,
        message=f"{verdict.info.name} is whole, but not the file that was here before (SHA-256 "
        f"{verdict.sha256[:12]}…, then {known.sha256[:12]}…).",
        hint="If you have put it there, nothing has to be done. Else find out who has.",
    )
    return replace(verdict, findings=(*verdict.findings, changed))


def _keep(verdict: Verdict, known: Archive | None) -> None:
    info, now = verdict.info, timezone.now()
    if known is None and info.path.parent != conf.destination():
        return
    is_whole = verdict.state is State.WHOLE
    seen = {"removed_at": None, "damaged_at": None if is_whole else now}
    seen |= {"verified_at": now} if is_whole else {}
    first = {
        "name": info.name,
        "label": info.label,
        "purpose": info.purpose,
        "instant": stored(info.instant),
        "bytes": info.size,
        "sha256": verdict.sha256,
    }
    Archive.objects.using(conf.database()).update_or_create(
        path=str(info.path), defaults=seen, create_defaults={**first, **seen}
    )
