"""Which archives stay: decided here, removed elsewhere.

Nothing is measured from now but whether an archive is dated in the future: a span ends at the
newest archive, and a bucket is an hour or a day that holds one. So a clock that jumps lets no
rule forget what it kept before.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Self

import humanize

from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import ConfigurationError
from diskette.core.report import JSON

CLOCK_TOLERANCE = timedelta(days=1)
"""An archive dated later than this from now was made by a wrong clock."""
LEAST_WITHIN = 3
"""How many a span keeps at least: after a clock's leap all but the newest lie outside of it."""

SAFETY = "safety"
IN_FUTURE = "dated in the future"
BUCKETS = {
    "hourly": "%Y-%m-%d %H:00 %z",
    "daily": "%Y-%m-%d",
    "weekly": "%G-W%V",
    "monthly": "%Y-%m",
    "yearly": "%Y",
}
"""By rule, how its bucket is written. An hour that a clock shows twice is two."""
COUNTS = ("last", *BUCKETS)

_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 31 * 24, "y": 366 * 24}
_SPAN = re.compile(r"(\d+[hdwmy])+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is kept of archives of one sort; None: there is no such rule."""

    last: int | None = None
    """So many of the newest."""
    hourly: int | None = None
    """The newest of each of so many hours that have one; so with the next four."""
    daily: int | None = None
    weekly: int | None = None
    """ISO weeks, which begin on Monday."""
    monthly: int | None = None
    yearly: int | None = None
    within: timedelta | None = None
    """All that are at most so much older than the newest."""
    size: int | None = None
    """Bytes that all of them may take; of what the others keep, the oldest go first."""

    @classmethod
    def from_setting(cls, value: Any, where: str) -> Self:
        """Raises ConfigurationError with every problem; `where` names the setting or option."""
        return cls(**_read(value, where, [each.name for each in fields(cls)]))

    @property
    def keeps_all(self) -> bool:
        """Whether no rule says what to keep, so that only a size removes any."""
        return self.within is None and not any(getattr(self, name) for name in COUNTS)

    @property
    def words(self) -> str:
        """`last 3, daily 7, within 14 days`."""
        counts = [f"{name} {getattr(self, name)}" for name in COUNTS if getattr(self, name)]
        span = [f"within {humanize.precisedelta(self.within)}"] if self.within else []
        return ", ".join([*counts, *span])

    def to_json(self) -> dict[str, JSON]:
        """The rules there are; `within` in seconds."""
        shape = {each.name: getattr(self, each.name) for each in fields(self)}
        shape["within"] = self.within.total_seconds() if self.within else None
        return {name: value for name, value in shape.items() if value is not None}

    @classmethod
    def from_json(cls, shape: Mapping[str, JSON]) -> Self:
        span = timedelta(seconds=shape["within"]) if "within" in shape else None
        return cls(**{**shape, "within": span})


KEEP_SAFETY = Rules(within=timedelta(days=14))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The policy: dumps by these rules, safety copies by those of their own."""

    dumps: Rules = field(default_factory=Rules)
    safety: Rules = KEEP_SAFETY

    @classmethod
    def from_setting(cls, value: Any, where: str = "DISKETTE_RETENTION") -> Self:
        """From a dict such as {"daily": 7, "within": "2w", "safety": {"last": 3}}.

        Raises ConfigurationError with every problem.
        """
        names = [*(each.name for each in fields(Rules)), SAFETY]
        found = _read(value, where, names)
        safety = found.pop(SAFETY, KEEP_SAFETY)
        return cls(dumps=Rules(**found), safety=safety)

    def of(self, purpose: str) -> Rules:
        return self.safety if purpose == SAFETY else self.dumps

    def to_json(self) -> dict[str, JSON]:
        return {**self.dumps.to_json(), SAFETY: self.safety.to_json()}

    @classmethod
    def from_json(cls, shape: Mapping[str, JSON]) -> Self:
        dumps = {name: value for name, value in shape.items() if name != SAFETY}
        return cls(dumps=Rules.from_json(dumps), safety=Rules.from_json(shape[SAFETY]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one archive, and why."""

    archive: ArchiveInfo
    keep: bool
    reason: str

    def to_json(self) -> dict[str, JSON]:
        return {
            "name": self.archive.name,
            "path": str(self.archive.path),
            "bytes": self.archive.size,
            "instant": self.archive.instant.isoformat(),
            "keep": self.keep,
            "reason": self.reason,
        }


def decide(
    archives: Sequence[ArchiveInfo], policy: Retention | None, now: datetime
) -> list[Decision]:
    """Keep or remove each archive; without a policy all are kept.

    `now` is aware, and hours and days begin in its time zone. Projects, purposes, sets of parts
    and choices of applications are counted apart. Always kept: the newest whole one, the one last
    proven, and what is not counted: what is damaged or another's, and what a wrong clock dated
    into the future. Newest first within each sort.
    """
    sorts: dict[tuple[object, ...], list[ArchiveInfo]] = defaultdict(list)
    for archive in sorted(archives, key=lambda each: (each.instant, each.name), reverse=True):
        sorts[archive.label, archive.purpose, archive.parts, archive.chosen].append(archive)
    return [each for sort in sorts.values() for each in _judged(sort, policy, now)]


def _judged(
    archives: Sequence[ArchiveInfo], policy: Retention | None, now: datetime
) -> Iterator[Decision]:
    aside = {each.path: _exemption(each, now) for each in archives}
    counted = [each for each in archives if not aside[each.path]]
    rules = policy.of(archives[0].purpose) if policy else Rules()
    reasons = _reasons(counted, rules, now)
    let_go = _beyond_size(counted, reasons, rules)
    for archive in archives:
        if archive.path in let_go:
            why = f"newer ones fill the size of {humanize.naturalsize(rules.size or 0)}"
            yield Decision(archive=archive, keep=False, reason=why)
        elif why := aside[archive.path] or ", ".join(reasons[archive.path]):
            yield Decision(archive=archive, keep=True, reason=why)
        else:
            yield Decision(archive=archive, keep=False, reason=f"kept by none of: {rules.words}")


def _exemption(archive: ArchiveInfo, now: datetime) -> str:
    """Why an archive is neither counted nor removed; empty if it is not exempt."""
    if archive.set_aside:
        return archive.set_aside
    return IN_FUTURE if archive.instant > now + CLOCK_TOLERANCE else ""


def _reasons(
    archives: Sequence[ArchiveInfo], rules: Rules, now: datetime
) -> dict[object, list[str]]:
    """By path, everything that keeps an archive. Newest first, as they come."""
    reasons: dict[object, list[str]] = {each.path: [] for each in archives}
    for archive, why in _claims(archives, rules, now):
        reasons[archive.path].append(why)
    return reasons


def _claims(
    archives: Sequence[ArchiveInfo], rules: Rules, now: datetime
) -> Iterator[tuple[ArchiveInfo, str]]:
    yield from ((each, "the newest whole one") for each in archives[:1])
    if (proven := _last_proven(archives)) is not None:
        yield proven, "the last one proven to be restorable"
    if rules.keeps_all:
        yield from ((each, "every archive is kept") for each in archives)
    for place, archive in enumerate(archives[: rules.last or 0], start=1):
        yield archive, f"last {place} of {rules.last}"
    for name in BUCKETS:
        yield from _bucket_claims(archives, name, getattr(rules, name) or 0, now)
    if rules.within is not None:
        yield from _span_claims(archives, rules.within)


def _bucket_claims(
    archives: Sequence[ArchiveInfo], name: str, count: int, now: datetime
) -> Iterator[tuple[ArchiveInfo, str]]:
    """The newest of each bucket; while there are too few buckets, the very oldest as well.

    Without that one a monthly rule would begin to reach back only after a month's turn.
    """
    newest: dict[str, ArchiveInfo] = {}
    for archive in archives:
        newest.setdefault(archive.instant.astimezone(now.tzinfo).strftime(BUCKETS[name]), archive)
    for place, (bucket, archive) in enumerate(list(newest.items())[:count], start=1):
        yield archive, f"{name} {place} of {count} ({bucket})"
    if len(newest) < count and archives and archives[-1] not in newest.values():
        yield archives[-1], f"{name}: the oldest, as there are fewer than {count}"


def _span_claims(
    archives: Sequence[ArchiveInfo], span: timedelta
) -> Iterator[tuple[ArchiveInfo, str]]:
    words = humanize.precisedelta(span)
    for place, archive in enumerate(archives):
        if archives[0].instant - archive.instant <= span:
            yield archive, f"within {words} of the newest"
        elif place < LEAST_WITHIN:
            yield archive, f"one of the {LEAST_WITHIN} that a span keeps at least"


def _beyond_size(
    archives: Sequence[ArchiveInfo], reasons: Mapping[object, list[str]], rules: Rules
) -> set[object]:
    """Paths of what would be kept if there were room: from the first that has none on."""
    if rules.size is None:
        return set()
    safe = {each.path for each in (*archives[:1], _last_proven(archives)) if each}
    total = sum(each.size for each in archives if each.path in safe)
    beyond: set[object] = set()
    for archive in archives:
        if archive.path in safe or not reasons[archive.path]:
            continue
        total += archive.size
        if total > rules.size:
            beyond.add(archive.path)
    return beyond


def _last_proven(archives: Iterable[ArchiveInfo]) -> ArchiveInfo | None:
    """The archive whose proof is the latest."""
    proven = [(each.proven_at, each.instant, each) for each in archives if each.proven_at]
    return max(proven, key=lambda each: each[:2], default=(None, None, None))[2]


# -- reading a policy -------------------------------------------------------------------


def _read(value: Any, where: str, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{where} must be a dict such as {{'daily': 7}}, not {value!r:.60}."
        )
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, given in value.items():
        try:
            found[name] = _value(name, given, where, names)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)
    return found


def _value(name: Any, given: Any, where: str, names: Sequence[str]) -> Any:
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(names)}."
        raise ConfigurationError(f"{where}: {name!r} is no rule. {cure}")
    if name == SAFETY:
        return Rules.from_setting(given, f"{where}[{SAFETY!r}]")
    read, wants = _READERS.get(name, (_count, "a whole number above 0"))
    if (wanted := read(given)) is None:
        # `--keep-` is how options begin, whose rules are no keys of a dict.
        place = f"{where}{name}" if where.endswith("-") else f"{where}[{name!r}]"
        raise ConfigurationError(f"{place} must be {wants}, not {given!r:.60}.")
    return wanted


def _count(given: Any) -> int | None:
    return given if type(given) is int and given > 0 else None


def _span(given: Any) -> timedelta | None:
    """A month is 31 days and a year 366: never less than the calendar's."""
    if isinstance(given, str) and _SPAN.fullmatch(given):
        parts = re.findall(r"(\d+)([hdwmy])", given)
        hours = sum(int(number) * _HOURS[unit] for number, unit in parts)
        given = timedelta(hours=hours) if hours < timedelta.max.days else None
    return given if isinstance(given, timedelta) and given > timedelta() else None


def _size(given: Any) -> int | None:
    if isinstance(given, str) and (found := _SIZE.fullmatch(given.strip())):
        number, prefix, binary = found.groups()
        power = "kmgt".index(prefix.lower()) + 1 if prefix else 0
        given = int(float(number) * (1024 if binary else 1000) ** power)
    return _count(given)


_READERS = {
    "within": (_span, "a timedelta, or a text such as '14d' or '1y6m' (of h, d, w, m, y)"),
    "size": (_size, "a number of bytes, or a text such as '50 GB'"),
}
