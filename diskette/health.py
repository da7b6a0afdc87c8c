"""What is wrong with the backups, before anybody needs one.

Every question is asked whatever came of the others, so a report has all problems at once, each
a finding with its section in docs/findings.md. Rows, the destination's files and the workers
that answer are what counts; limits are for DISKETTE_HEALTH to say.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import humanize
from celery import current_app
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from diskette import conf, messages, notify
from diskette.core import catalog, patience, retention
from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import StorageError
from diskette.core.limits import Limits
from diskette.core.plan import Kind, State
from diskette.core.report import JSON, Finding, Severity
from diskette.models import HEALTH, SWEEP, Archive, Now, Run, Sighting, Step, stored
from diskette.steps import prune

CODES = (
    *("too-old", "archive-size", "drill-late", "destination-away", "destination-full"),
    *("failures-in-a-row", "run-open", "sweep-late", "workers-away", "broker-away"),
)
"""Every problem that a report may have; metrics name them also while they are none."""
WATCHED = (Kind.DUMP, Kind.DRILL, Kind.PRUNE)
"""Kinds of runs that nights begin; whoever loads sees what becomes of it."""
USUAL = 5
"""So many archives before the newest say what size is usual, so that a new one is soon."""
LEAST_ALIKE = 3
ROOM_FOR = 2
"""Archives like the newest that the destination should have room for."""
COUNTED = 100
"""So many runs back it is counted how often one failed in a row."""
ANSWER_SECONDS = 2
"""How long workers and the broker have for an answer."""
AGAIN = timedelta(days=1)
"""After which trouble that goes on is told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A report."""

    at: datetime
    problems: tuple[Finding, ...]
    figures: Mapping[str, JSON]
    """What was measured; what could not be is None or not there. Instants as ISO 8601."""

    def to_json(self) -> dict[str, JSON]:
        """As `diskette_health --format json` prints it: docs/nights.md."""
        return {
            "healthy": not self.problems,
            "label": conf.label(),
            "at": self.at.isoformat(),
            "problems": [each.to_json() for each in self.problems],
            "figures": dict(self.figures),
        }


@dataclass(frozen=True, slots=True)
class _Answer:
    problems: Sequence[Finding]
    figures: Mapping[str, JSON]


def examine(*, at_work: bool = False) -> Health:
    """Ask every question. `at_work`: it is a worker that asks, so one is there."""
    limits, now = conf.health(), conf.now()
    answers = (
        _destination(limits, now),
        _proofs(limits, now),
        _failures(limits),
        _open_runs(limits, now),
        _sweep(limits, now),
        _workers(limits, at_work=at_work),
        _reported(),
    )
    problems = tuple(problem for answer in answers for problem in answer.problems)
    figures = {name: each for answer in answers for name, each in answer.figures.items()}
    return Health(at=now, problems=problems, figures=figures)


def report(*, at_work: bool = False) -> Health:
    """The same, and people are told what is new, what still is after a day, and what is over."""
    health = examine(at_work=at_work)
    notify.ping_health(is_well=not health.problems)
    _tell(health)
    return health


# -- the destination and its archives ---------------------------------------------------


def _destination(limits: Limits, now: datetime) -> _Answer:
    directory = conf.destination()
    try:
        found = patience.within(directory, lambda: catalog.find(directory))
        why, free, total = patience.within(directory, lambda: _looked_at(directory))
    except StorageError as error:
        return _Answer([_away(directory, error.why)], {})
    except OSError as error:
        return _Answer([_away(directory, str(error))], {})
    if why := why or _why_empty(directory, found):
        return _Answer([_away(directory, why)], {})
    found = list(prune.with_history(found))
    ours = [each for each in found if _counts(each, now)]
    figures: dict[str, JSON] = {
        "archive": ours[0].name if ours else None,
        "archive_at": ours[0].instant.isoformat() if ours else None,
        "archive_bytes": ours[0].size if ours else None,
        "archives": len(ours),
        "free_bytes": free,
        "total_bytes": total,
    }
    problems = [*_late(ours, limits, now), *_strange_size(ours, limits)]
    return _Answer([*problems, *_full(directory, free, total, ours, limits)], figures)


def _looked_at(directory: Path) -> tuple[str, int, int]:
    """Why nothing can be kept there, empty if it can; free and all bytes."""
    if not directory.is_dir():
        return "there is no such directory", 0, 0
    if not os.access(directory, os.W_OK | os.X_OK):
        return "this account cannot write to it", 0, 0
    usage = shutil.disk_usage(directory)
    return "", usage.free, usage.total


def _why_empty(directory: Path, found: Sequence[ArchiveInfo]) -> str:
    """What is wrong with a directory without archives; empty if nothing is."""
    rows = Archive.objects.using(conf.database()).filter(removed_at=None)
    known = sum(Path(path).parent == directory for path in rows.values_list("path", flat=True))
    if known and not found:
        return f"it is empty, but {humanize.intcomma(known)} archives were made there"
    return ""


def _away(directory: Path, why: str) -> Finding:
    return _problem(
        "destination-away",
        f"The destination {directory} cannot be used: {why.rstrip('.')}.",
        "Mount it (where it does not answer: its server first, then anew), or let this account "
        "write there; or correct DISKETTE_DUMP_PATH. A dump makes it where it never was.",
    )


def _counts(info: ArchiveInfo, now: datetime) -> bool:
    """Whether it is what a night makes: whole, of all applications, not of a wrong clock."""
    is_dump = info.label == conf.label() and info.purpose == "dump" and not info.set_aside
    has_data = "data" in info.parts or conf.applications() == ()
    in_time = info.instant <= now + retention.CLOCK_TOLERANCE
    return is_dump and has_data and in_time and not info.chosen


def _late(ours: Sequence[ArchiveInfo], limits: Limits, now: datetime) -> Iterator[Finding]:
    if limits.archive_hours is None:
        return
    allowed = timedelta(hours=limits.archive_hours)
    if ours and now - ours[0].instant <= allowed:
        return
    what = f"There is no whole archive of {conf.label()} in {conf.destination()}."
    if ours:
        age = _words(now - ours[0].instant)
        what = f"The newest archive, {ours[0].name}, is {age} old; {_words(allowed)} are allowed."
    yield _problem(
        "too-old",
        what,
        "`manage.py diskette_dump` makes one now. Why none was made: `manage.py diskette_status`.",
    )


def _strange_size(ours: Sequence[ArchiveInfo], limits: Limits) -> Iterator[Finding]:
    if limits.size_percent is None or not ours:
        return
    newest, *before = ours
    alike = [each.size for each in before if _holds(each) == _holds(newest)][:USUAL]
    if len(alike) < LEAST_ALIKE:
        return
    usual = median(alike)
    if abs(newest.size - usual) * 100 <= limits.size_percent * usual:
        return
    size, before_it = humanize.naturalsize(newest.size), humanize.naturalsize(usual)
    yield _problem(
        "archive-size",
        f"The newest archive, {newest.name}, has {size}, where {before_it} were usual.",
        f"Compare `manage.py diskette_inspect {newest.name}` with one before it. If so much came "
        "or went on purpose, the next few dumps make it usual.",
    )


def _holds(info: ArchiveInfo) -> tuple[frozenset[str], ...]:
    assert info.manifest is not None  # noqa: S101 - what is not whole is not counted
    parts = (info.manifest.definitions, info.manifest.storages)
    return tuple(frozenset(each.name for each in part) for part in parts)


def _full(
    directory: Path, free: int, total: int, ours: Sequence[ArchiveInfo], limits: Limits
) -> Iterator[Finding]:
    if limits.free_percent is None:
        return
    wanted = ROOM_FOR * ours[0].size if ours else 0
    if free * 100 >= limits.free_percent * total and free >= wanted:
        return
    percent = 100 * free / total if total else 0.0
    yield _problem(
        "destination-full",
        f"The destination {directory} is nearly full: {humanize.naturalsize(free)} are free, "
        f"{percent:.1f} %.",
        f"{limits.free_percent:g} % should be, and room for {ROOM_FOR} archives. Keep fewer "
        "(DISKETTE_RETENTION, `manage.py diskette_prune`), or give it a larger disk.",
    )


def _proofs(limits: Limits, now: datetime) -> _Answer:
    rows = Archive.objects.using(conf.database()).filter(label=conf.label())
    last = rows.exclude(proven_at=None).order_by("-proven_at").first()
    oldest = rows.filter(purpose="dump").order_by("instant").first()
    proven = conf.aware(last.proven_at) if last else None
    figures = {"proven_at": proven.isoformat() if proven else None}
    begun = proven or (conf.aware(oldest.instant) if oldest else None)
    if limits.drill_days is None or begun is None:
        return _Answer([], figures)
    allowed = timedelta(days=limits.drill_days)
    late = now - begun > allowed
    return _Answer([_unproven(proven, allowed, now)] if late else [], figures)


def _unproven(proven: datetime | None, allowed: timedelta, now: datetime) -> Finding:
    since = f"for {_words(now - proven)}; {_words(allowed)} are allowed" if proven else "yet"
    return _problem(
        "drill-late",
        f"No archive of {conf.label()} was proven to be restorable {since}.",
        "`manage.py diskette_verify --drill` does it now, beside what is live; "
        "DISKETTE_SCHEDULE = {'drill': '0 5 * * sun'} each week.",
    )


# -- runs -------------------------------------------------------------------------------


def _failures(limits: Limits) -> _Answer:
    failed = {kind: _failed_in_a_row(kind) for kind in WATCHED}
    least = limits.failures
    problems = [_failing(each) for each in failed.values() if least and len(each) >= least]
    counts = {str(kind): len(each) for kind, each in failed.items()}
    succeeded = {str(kind): _last_success(kind) for kind in WATCHED}
    return _Answer(problems, {"failures_in_a_row": counts, "succeeded": succeeded})


def _of_kind(kind: Kind) -> QuerySet[Run]:
    """Runs that ended well or failed, the latest first."""
    ended = Run.objects.using(conf.database()).filter(
        kind=kind, parent=None, state__in=(State.SUCCEEDED, State.FAILED)
    )
    return ended.order_by("-finished_at")


def _failed_in_a_row(kind: Kind) -> list[Run]:
    failed: list[Run] = []
    for run in _of_kind(kind)[:COUNTED]:
        if run.state == State.SUCCEEDED:
            break
        failed.append(run)
    return failed


def _last_success(kind: Kind) -> dict[str, JSON] | None:
    run = _of_kind(kind).filter(state=State.SUCCEEDED).first()
    if run is None or (ended := conf.aware(run.finished_at)) is None:
        return None
    begun = conf.aware(run.started_at)
    return {"at": ended.isoformat(), "seconds": (ended - begun).total_seconds() if begun else None}


def _failing(failed: Sequence[Run]) -> Finding:
    last = failed[0]
    errors = [each for each in last.all_findings if each.severity is Severity.ERROR]
    why = f" The latest: {errors[0].message}" if errors else ""
    cure = f" {errors[0].hint}" if errors and errors[0].hint else ""
    kind = Kind(last.kind)
    return _problem(
        "failures-in-a-row",
        f"{_so_many(kind, len(failed))}{why}",
        f"`manage.py diskette_status {last.pk}` has it all.{cure} Then "
        f"`manage.py {notify.AGAIN[kind]}`.",
        target=str(kind),
        keys=tuple(str(run.pk) for run in failed[:5]),
    )


def _so_many(kind: Kind, times: int) -> str:
    if times == 1:
        return f"The last {kind} failed."
    return f"{'At least the' if times >= COUNTED else 'The'} last {times} {kind}s failed."


def _open_runs(limits: Limits, now: datetime) -> _Answer:
    runs = Run.objects.using(conf.database()).filter(state=State.RUNNING, parent=None)
    figures = {"open_runs": runs.count()}
    if limits.run_hours is None:
        return _Answer([], figures)
    allowed = timedelta(hours=limits.run_hours)
    late = runs.filter(created_at__lt=stored(now - allowed)).order_by("created_at")
    return _Answer([_endless(run, allowed, now) for run in late], figures)


def _endless(run: Run, allowed: timedelta, now: datetime) -> Finding:
    begun = conf.aware(run.created_at) or now
    at_work = run.steps.using(conf.database()).filter(state__in=(State.RUNNING, State.READY))
    steps = ", ".join(map(str, at_work)) or "no step"
    return _problem(
        "run-open",
        f"{run} has not ended for {_words(now - begun)}; {_words(allowed)} are allowed. "
        f"At work or waiting: {steps}.",
        f"`manage.py diskette_status {run.pk} --follow` shows whether it goes on; "
        f"`manage.py diskette_cancel {run.pk}` ends it.",
        target=str(run.pk),
    )


# -- beat, workers, broker --------------------------------------------------------------


def saw_sweep() -> None:
    """Note that a worker sweeps right now."""
    Sighting.objects.using(conf.database()).update_or_create(
        name=SWEEP, defaults={"seen_at": timezone.now()}
    )


def _sweep(limits: Limits, now: datetime) -> _Answer:
    row = Sighting.objects.using(conf.database()).filter(pk=SWEEP).first()
    seen = conf.aware(row.seen_at) if row else None
    figures = {"sweep_at": seen.isoformat() if seen else None}
    is_wanted = conf.is_scheduled("sweep") and (seen or messages.has_application())
    if limits.sweep_minutes is None or not is_wanted:
        return _Answer([], figures)
    allowed = timedelta(minutes=limits.sweep_minutes)
    if seen and now - seen <= allowed:
        return _Answer([], figures)
    since = f"for {_words(now - seen)}; {_words(allowed)} are allowed" if seen else "yet"
    problem = _problem(
        "sweep-late",
        f"No worker has swept {since}: beat does not send it, or no worker is free to do it.",
        "Start beat, exactly one, and a worker with a free process: docs/deployment.md. Where "
        "neither is wanted: DISKETTE_SCHEDULE = {'sweep': None}.",
    )
    return _Answer([problem], figures)


def _workers(limits: Limits, *, at_work: bool) -> _Answer:
    is_wanted = conf.is_scheduled("sweep") and messages.has_application()
    if limits.workers is None or not is_wanted:
        return _Answer([], {})
    try:
        served = _served_queues()
    except (OperationalError, OSError) as error:
        return _Answer([_broker_away(error)], {})
    queue = conf.queue() or current_app.conf.task_default_queue
    there = sum(queue in queues for queues in served.values())
    there = max(there, 1) if at_work or _is_a_step_at_work() else there
    problems = [_too_few(there, limits.workers, queue)] if there < limits.workers else []
    return _Answer(problems, {"workers": there})


def _served_queues() -> dict[str, set[str]]:
    """By worker, the queues it serves. Raises OperationalError or OSError without a broker.

    Also where it refuses: a Redis that is full, or does not let this user ask workers.
    """
    with messages.connected() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=ANSWER_SECONDS)
        inspect = current_app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
        try:
            answers = inspect.active_queues() or {}
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(str(error)) from error
    return {worker: {each["name"] for each in queues} for worker, queues in answers.items()}


def _is_a_step_at_work() -> bool:
    """A pool of one process does not answer while it works, but its lease says that it does."""
    steps = Step.objects.using(conf.database()).filter(state=State.RUNNING, run__inline=False)
    return steps.filter(lease_until__gte=Now()).exists()


def _too_few(there: int, wanted: float, queue: str) -> Finding:
    answered = "No worker answers" if not there else f"Only {there} of {wanted:g} workers answer"
    return _problem(
        "workers-away",
        f"{answered} that serves the queue {queue!r}, where dumps are done.",
        f"Start one: `celery -A PROJECT worker -Q {queue}`. What ended it stands in its log.",
    )


def _broker_away(error: Exception) -> Finding:
    broker = current_app.connection_for_read().as_uri()
    return _problem(
        "broker-away",
        f"The broker {broker} does not answer: {str(error).rstrip('.') or type(error).__name__}.",
        "Start it, or correct `broker_url`. Until then nothing that beat sends is done; "
        "`manage.py diskette_dump` needs no broker.",
    )


# -- telling ----------------------------------------------------------------------------


def _reported() -> _Answer:
    """Who asks a monitor about health may ask as well whether beat still does."""
    row = Sighting.objects.using(conf.database()).filter(pk=HEALTH).first()
    seen = conf.aware(row.seen_at) if row else None
    return _Answer([], {"report_at": seen.isoformat() if seen else None})


def _tell(health: Health) -> None:
    """Of two reports at one moment, one tells: whose row is still as it was read."""
    rows = Sighting.objects.using(conf.database())
    row, _ = rows.get_or_create(name=HEALTH)
    troubles = sorted(f"{each.code} {each.target or ''}".rstrip() for each in health.problems)
    before = row.detail.get("troubles", [])
    is_due = bool(set(troubles) - set(before)) or bool(troubles and _is_long_ago(row, health.at))
    told_at = health.at.isoformat() if is_due else row.detail.get("told_at")
    now = timezone.now()
    is_mine = rows.filter(pk=HEALTH, seen_at=row.seen_at).update(
        seen_at=now, detail={"troubles": troubles, "told_at": told_at}
    )
    was_told = True
    if is_mine and is_due:
        was_told = notify.tell_trouble(health.problems)
    elif is_mine and before and not troubles:
        was_told = notify.tell_health_again(before)
    if not was_told:  # the next report tries again, as if it were the first
        rows.filter(pk=HEALTH, seen_at=now).update(detail=row.detail)


def _is_long_ago(row: Sighting, now: datetime) -> bool:
    told_at = row.detail.get("told_at")
    return told_at is None or now - datetime.fromisoformat(told_at) >= AGAIN


# -- words ------------------------------------------------------------------------------


def _problem(
    code: str, message: str, hint: str, *, target: str | None = None, keys: tuple[str, ...] = ()
) -> Finding:
    return Finding(
        code=code, severity=Severity.ERROR, message=message, hint=hint, target=target, keys=keys
    )


def _words(span: timedelta) -> str:
    """`2 days and 3 hours`, `26 hours`, `15 minutes`."""
    if timedelta(days=1) <= span < timedelta(days=2):
        return f"{span.total_seconds() / 3600:.0f} hours"
    unit = "hours" if span >= timedelta(days=2) else "minutes"
    suppress = ["years", "months"]
    return humanize.precisedelta(span, minimum_unit=unit, suppress=suppress, format="%0.0f")
