"""Which archives stay: decided here, removed elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from diskette.core.catalog import ArchiveInfo

CLOCK_TOLERANCE = timedelta(days=1)
"""An archive dated later than this from now was made by a wrong clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one archive, and why."""

    archive: ArchiveInfo
    keep: bool
    reason: str


def decide(archives: Sequence[ArchiveInfo], keep_last: int | None, now: datetime) -> list[Decision]:
    """Keep the newest `keep_last` whole archives of each project; None keeps all.

    Safety copies are counted apart from dumps. Always kept: the newest whole one, the one last
    proven, damaged ones (someone may still want what is in them), other people's tar files, and
    what a wrong clock dated into the future. Newest first within each project.
    """
    kinds: dict[tuple[str, str], list[ArchiveInfo]] = defaultdict(list)
    for archive in sorted(archives, key=lambda each: (each.instant, each.name), reverse=True):
        kinds[archive.label, archive.purpose].append(archive)
    return [each for kind in kinds.values() for each in _judged(kind, keep_last, now)]


def _judged(
    archives: Sequence[ArchiveInfo], keep_last: int | None, now: datetime
) -> Iterator[Decision]:
    proven = _last_proven(archives)
    newer = 0
    for archive in archives:
        reason = _exemption(archive, now)
        if not reason:
            reason = _claim(archive, newer, keep_last, proven)
            newer += 1
        why = reason or f"older than the newest {keep_last}"
        yield Decision(archive=archive, keep=bool(reason), reason=why)


def _exemption(archive: ArchiveInfo, now: datetime) -> str:
    """Why an archive is neither counted nor removed; empty if it is not exempt."""
    if archive.manifest is None:
        return "damaged, or not Diskette's"
    return "dated in the future" if archive.instant > now + CLOCK_TOLERANCE else ""


def _claim(
    archive: ArchiveInfo, newer: int, keep_last: int | None, proven: ArchiveInfo | None
) -> str:
    """Why an archive stays that has so many newer ones; empty if it need not."""
    if newer == 0:
        return "the newest whole one"
    if archive is proven:
        return "the last one proven to be restorable"
    if keep_last is None:
        return "every archive is kept"
    return f"one of the newest {keep_last}" if newer < keep_last else ""


def _last_proven(archives: Sequence[ArchiveInfo]) -> ArchiveInfo | None:
    """The archive whose proof is the latest."""
    proven = [(each.proven_at, each) for each in archives if each.proven_at is not None]
    return max(proven, key=lambda pair: pair[0], default=(None, None))[1]
