"""What is told to people, and when: failure, recovery, success if asked, pings.

Listens to the signals. A dump within a load is the load's affair, and a load that only checks
is nobody's: neither is told. How messages leave is for `channels` to know.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import humanize
from django.db.models import QuerySet
from django.utils import timezone

from diskette import channels, conf, signals
from diskette.channels import Message, Moment, Tone
from diskette.core.logs import logger_of
from diskette.core.plan import Kind, State
from diskette.core.report import Finding, Severity
from diskette.core.wording import finding_lines, seconds_words, stat_words
from diskette.models import Run

logger = logger_of(__name__)

COUNTED = 100
"""So many runs back it is counted how often one failed in a row."""
AGAIN = {
    Kind.DUMP: "diskette_dump",
    Kind.DRILL: "diskette_verify --drill",
    Kind.PRUNE: "diskette_prune",
}


def connect() -> None:
    """Listen to the ends of runs."""
    signals.run_started.connect(_on_start, dispatch_uid="diskette.notify.start")
    signals.run_ended.connect(_on_end, dispatch_uid="diskette.notify.end")
    signals.archive_verified.connect(_on_verified, dispatch_uid="diskette.notify.verified")


def _on_start(*, run: Run, **_: object) -> list[Finding]:
    return _not_told(channels.ping(run.kind, Moment.START)) if _concerns_people(run) else []


def _on_end(*, run: Run, **_: object) -> list[Finding]:
    """Tell it. Returns what could not be told: findings of the run."""
    if not _concerns_people(run) or run.state == State.SKIPPED:
        return []
    moment = Moment.SUCCESS if run.state == State.SUCCEEDED else Moment.FAIL
    failed = channels.ping(run.kind, moment)
    message = message_of(run) if channels.is_open() else None
    return _not_told([*failed, *(channels.send(message) if message else [])])


def _on_verified(
    *, path: Path, state: str, findings: Sequence[Finding], was_damaged: bool, **_: object
) -> list[Finding]:
    """Tell damage when it is new, and when it is over."""
    is_damaged = state == "damaged"
    if is_damaged == was_damaged or not channels.is_open():
        return []
    became = "is damaged" if is_damaged else "is whole again"
    lines = [f"The archive {path.name} of {conf.label()} {became}.", "", f"archive  {path}"]
    lines += [f"told by  {socket.gethostname()}"]
    lines += [f"more     python manage.py diskette_verify {path.name}"]
    for finding in findings:
        lines += ["", *finding_lines(finding)]
    subject = f"Diskette: archive {path.name} of {conf.label()} {became}"
    tone = Tone.FAILURE if is_damaged else Tone.SUCCESS
    return _not_told(
        channels.send(Message(subject=subject, body="\n".join([*lines, ""]), tone=tone))
    )


def _concerns_people(run: Run) -> bool:
    return run.parent_id is None and not run.options.get("check")


def _not_told(failures: Sequence[str]) -> list[Finding]:
    for failure in failures:
        logger.error("%s", failure)
    return [
        Finding(
            code="not-told",
            severity=Severity.WARNING,
            message=failure,
            hint="Look at DISKETTE_NOTIFY_*, EMAIL_*, and whether the server is up.",
        )
        for failure in failures
    ]


# -- health -----------------------------------------------------------------------------


def ping_health(*, is_well: bool) -> None:
    """Say that health was looked at, and whether all was well, where a ping is wanted of it."""
    _not_told(channels.ping("health", Moment.SUCCESS if is_well else Moment.FAIL))


def tell_trouble(problems: Sequence[Finding]) -> bool:
    """Say what is wrong with the backups. Returns False if that reached nobody."""
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"The backups of {conf.label()} have {count}:"]
    for problem in problems:
        lines += ["", *finding_lines(problem)]
    return _tell_health(f"backups of {conf.label()} have {count}", lines, Tone.FAILURE)


def tell_health_again(troubles: Sequence[str]) -> bool:
    """Say that nothing is wrong any more; `troubles`: what was. Returns as `tell_trouble` does."""
    lines = [f"The backups of {conf.label()} are in order again. What is over:", ""]
    lines += [f"  {each}" for each in troubles]
    return _tell_health(f"backups of {conf.label()} are in order again", lines, Tone.SUCCESS)


def _tell_health(subject: str, lines: Sequence[str], tone: Tone) -> bool:
    more = ["", f"told by  {socket.gethostname()}", "more     python manage.py diskette_health", ""]
    body = "\n".join([*lines, *more])
    failures = channels.send(Message(subject=f"Diskette: {subject}", body=body, tone=tone))
    _not_told(failures)
    return not failures or len(failures) < channels.count()


# -- what there is to say ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _History:
    """What the runs before one say of it: those of its kind that ended well or failed."""

    failures: int
    """In a row, just before it."""
    last_good: Run | None
    errors: frozenset[tuple[object, ...]]
    """That the last one found, though it succeeded."""


def message_of(run: Run) -> Message | None:
    """What is to be said of an ended run; None: nothing."""
    if run.state == State.FAILED:
        return _failure(run, _history(run))
    return _success(run, _history(run)) if run.state == State.SUCCEEDED else None


def _success(run: Run, history: _History) -> Message | None:
    errors = _errors(run)
    if history.failures:
        return _recovery(run, history, errors)
    if errors - history.errors:
        return _flawed(run)
    if history.errors and not errors:
        return _message(run, "succeeded, without errors again", "", Tone.SUCCESS)
    return _message(run, "succeeded", "", Tone.SUCCESS) if conf.notify_success() else None


def _failure(run: Run, history: _History) -> Message:
    times = history.failures + 1
    row = "" if times == 1 else f" ({_counted(times)} in a row)"
    good = history.last_good
    since = f"The last one that succeeded ended {_when(good.finished_at)}." if good else ""
    return _message(run, f"failed{row}", since or "None has succeeded yet.", Tone.FAILURE)


def _recovery(run: Run, history: _History, errors: frozenset[tuple[object, ...]]) -> Message:
    times = f"It had failed {_counted(history.failures)} times in a row."
    before = "It had failed once." if history.failures == 1 else times
    but, tone = (", but found errors", Tone.WARNING) if errors else ("", Tone.SUCCESS)
    return _message(run, f"succeeded again{but}", before, tone)


def _flawed(run: Run) -> Message:
    means = {
        Kind.DUMP: "The archive is whole, but a load of it would be refused, or lack something."
    }
    about = means.get(Kind(run.kind), "It is done, but look at what was found.")
    return _message(run, "succeeded, but found errors", about, Tone.WARNING)


def _counted(times: int) -> str:
    return f"at least {times}" if times > COUNTED else str(times)


def _history(run: Run) -> _History:
    failures, last = 0, None
    for before in _before(run)[: COUNTED * 2]:
        if not _concerns_people(before):
            continue
        if before.state == State.SUCCEEDED:
            last = before
            break
        failures += 1
    errors = _errors(last) if last and not failures else frozenset()
    return _History(failures, last, errors)


def _before(run: Run) -> QuerySet[Run]:
    ended = Run.objects.using(conf.database()).filter(
        kind=run.kind, parent=None, state__in=(State.SUCCEEDED, State.FAILED)
    )
    earlier = ended.filter(finished_at__lte=run.finished_at).exclude(pk=run.pk)
    return earlier.order_by("-finished_at")


def _errors(run: Run) -> frozenset[tuple[object, ...]]:
    """What was found, without what differs from night to night."""
    found = (f for f in run.all_findings if f.severity is Severity.ERROR)
    return frozenset((f.code, f.definition, f.model, f.field, f.target) for f in found)


# -- words ------------------------------------------------------------------------------


def _message(run: Run, became: str, about: str, tone: Tone) -> Message:
    what = f"{run.kind} of {conf.label()}"
    lines = [f"The {what} {became}.{f' {about}' if about else ''}", "", *_facts(run)]
    if tone is not Tone.SUCCESS:
        lines += ["", *_found(run)]
    return Message(subject=f"Diskette: {what} {became}", body="\n".join(lines) + "\n", tone=tone)


def _facts(run: Run) -> Iterator[str]:
    """Before the findings, for a service may cut off what is long."""
    yield f"run      {run.pk}{f', by {run.requested_by}' if run.requested_by else ''}"
    yield f"ended    {_when(run.finished_at)}{_lasted(run)}, told by {socket.gethostname()}"
    failed = run.steps.using(conf.database()).filter(state=State.FAILED)
    if steps := ", ".join(map(str, failed)):
        yield f"failed   in {steps}"
    if facts := ", ".join(stat_words(run.stats)):
        yield f"done     {facts}"
    if run.archive:
        yield f"archive  {run.archive}"
    yield f"more     python manage.py diskette_status {run.pk}"
    if run.state == State.FAILED and (again := AGAIN.get(Kind(run.kind))):
        yield f"again    python manage.py {again}"


def _found(run: Run) -> Iterator[str]:
    found = sorted(run.all_findings, key=lambda f: list(Severity)[::-1].index(f.severity))
    yield "What was found:" if found else "It left no finding; the log of the process has more."
    for finding in found:
        yield ""
        yield from finding_lines(finding)


def _when(instant: datetime | None) -> str:
    if instant is None:
        return "at an unknown time"
    local = timezone.localtime(instant) if timezone.is_aware(instant) else instant
    return f"{local:%Y-%m-%d %H:%M:%S %Z}".rstrip() + f" ({humanize.naturaltime(instant)})"


def _lasted(run: Run) -> str:
    if not run.started_at or not run.finished_at:
        return ""
    return f" after {seconds_words((run.finished_at - run.started_at).total_seconds())}"
