"""Drives a run: rows are the chain, a step is taken, worked on and settled.

A step is taken by a conditional UPDATE that hands out a token and a lease. A heartbeat
on a connection of its own renews the lease and tells the progress. Settling is one short
transaction that stores the report and lets the run advance; it returns the steps that
may now start, and whoever called (a Celery task, the inline runner) starts them.
Nothing here needs a message to arrive: `sweep` finds what was lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
    transaction,
)
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Greatest
from django.dispatch import Signal
from django.utils import timezone

from diskette import approval, conf, signals
from diskette.core import logs, patience, plan, process
from diskette.core.exceptions import (
    DisketteError,
    FindingsError,
    RunConflict,
    SnapshotLost,
    Stopped,
    StorageError,
    TemporaryError,
    UsageError,
)
from diskette.core.logs import logger_of
from diskette.core.plan import ENDED, Kind, State
from diskette.core.report import JSON, Finding, PlannedStep, Severity, StepReport
from diskette.core.workspace import orphans
from diskette.data import interrupting, sessions
from diskette.data.interrupting import Statements
from diskette.models import DRILL_LOCK, PROJECT_LOCK, Archive, Lock, Now, Run, Step, after
from diskette.steps import FUNCTIONS, cleanup, without_secrets
from diskette.steps.context import Context, Pulse

logger = logger_of(__name__)

run_changed = Signal()
"""Sent with `run` inside the transaction that changed it."""
runs_forgotten = Signal()
"""Sent with `ids`, those of their results, inside the transaction that removes runs and steps."""
step_changed = Signal()
"""Sent with `step` inside the transaction that changed it."""

BEAT_SECONDS = 1.0
BACKOFF_SECONDS = 2.0
"""Before another attempt, so that what is away has time to come back."""
OUTAGE_SECONDS = 60.0
"""How long a finished step waits for a database that is away before it gives its work up."""
FORGOTTEN_AT_ONCE = 20
"""Runs that one sweep removes at most, so that it stays short."""
TELLING = timedelta(minutes=15)
"""How long the end of a run may take to be told before a sweep does it, too."""
DATABASE_GONE = (OperationalError, InterfaceError)

T = TypeVar("T")


# -- creating ---------------------------------------------------------------------------


def create(
    kind: Kind,
    options: Mapping[str, JSON],
    steps: Iterable[PlannedStep],
    *,
    inline: bool,
    requested_by: str = "",
    parent: Run | None = None,
) -> Run:
    """A run and its first steps, holding the project's lock.

    Raises RunConflict when another run is active; that one is recorded as skipped.
    """
    run = Run(
        kind=kind,
        options={**options, "workspace": str(conf.workspace_root())},
        inline=inline,
        driver=process.identity() if inline else "",
        requested_by=requested_by,
        parent=parent,
    )
    with _transaction():
        run.save(using=conf.database())
        conflict = None if parent else _take_lock(run)
        if conflict is None:
            run.state, run.started_at = State.RUNNING, timezone.now()
            run.save(using=conf.database())
            _insert(run, steps)
            if kind == Kind.LOAD:
                approval.approve(run)
            found = list(_steps(run))
            _advance(run, found)
            run_changed.send(Run, run=run, steps=found, error=None)
            transaction.on_commit(lambda: _tell_start(run.pk), using=conf.database())
        else:
            _skip(run, conflict)
    if conflict is not None:
        raise conflict
    return run


def exists(run_id: UUID) -> bool:
    return Run.objects.using(conf.database()).filter(pk=run_id).exists()


def refuse(
    kind: Kind, options: Mapping[str, JSON], error: DisketteError, *, requested_by: str = ""
) -> Run:
    """Record a run that could not even be planned, so that nobody waits for it in vain."""
    run = Run(
        kind=kind,
        state=State.FAILED,
        options=without_secrets(options),
        requested_by=requested_by,
        finished_at=timezone.now(),
        findings=[finding.to_json() for finding in findings_of(error)],
    )
    with transaction.atomic(using=conf.database()):
        run.save(using=conf.database())
        run_changed.send(Run, run=run, error=error)
        _tell_after_commit(run, error)
    return run


def _take_lock(run: Run) -> RunConflict | None:
    locks = Lock.objects.using(conf.database())
    name = DRILL_LOCK if run.kind == Kind.DRILL else PROJECT_LOCK
    try:
        with transaction.atomic(using=conf.database()):
            locks.create(name=name, run=run)
    except IntegrityError:
        holder = locks.select_related("run").filter(name=name).first()
        if holder is None:
            return RunConflict("that has just ended", "run", run=str(run.pk))
        since = f"{holder.run.created_at:%Y-%m-%d %H:%M:%S}{' UTC' if conf.use_tz() else ''}"
        return RunConflict(str(holder.run_id), holder.run.kind, since, str(run.pk))
    return None


def _skip(run: Run, conflict: RunConflict) -> None:
    run.state, run.finished_at = State.SKIPPED, timezone.now()
    run.findings = [_finding_of(conflict, Severity.WARNING).to_json()]
    run.save(using=conf.database())
    run_changed.send(Run, run=run, error=conflict)
    _tell_after_commit(run, conflict)


def _insert(run: Run, steps: Iterable[PlannedStep]) -> None:
    Step.objects.using(conf.database()).bulk_create(
        Step(
            run=run,
            position=each.position,
            name=each.name,
            subject=each.subject,
            weight=each.weight,
        )
        for each in steps
    )


# -- transactions on a run --------------------------------------------------------------


@contextmanager
def _locked(run_id: UUID) -> Iterator[Run]:
    """The run's row, for this transaction alone.

    The first statement writes: that is a row lock on every engine, and on SQLite it takes the
    write lock before anything is read, so that no reader has to be upgraded.
    """
    with _transaction() as alias:
        runs = Run.objects.using(alias)
        runs.filter(pk=run_id).update(version=F("version") + 1)
        yield runs.get(pk=run_id)


@contextmanager
def _transaction() -> Iterator[str]:
    """A short one on Diskette's rows: a process that freezes in it holds them for a lease."""
    alias = conf.database()
    with transaction.atomic(using=alias):
        sessions.let_go_when_idle(alias, conf.lease())
        yield alias


def _steps(run: Run) -> Any:
    return Step.objects.using(conf.database()).filter(run=run)


def _advance(run: Run, steps: Sequence[Step]) -> list[Step]:
    """Let the next of a run's steps be taken; returns them. Within `_locked`."""
    if run.ending or run.state != State.RUNNING:
        return []
    open_steps = [step for step in steps if step.state not in ENDED]
    if not open_steps:
        _end(run, State.SUCCEEDED)
        return []
    front = open_steps[0].position
    waiting = [s for s in open_steps if s.position == front and s.state == State.PENDING]
    if waiting:
        _steps(run).filter(pk__in=[step.pk for step in waiting]).update(
            state=State.READY, due_at=after(conf.lease())
        )
    for step in waiting:
        step.state = State.READY
    return waiting


def _end(run: Run, ending: State) -> None:
    """Decide how the run ends; it does so as soon as no step is at work."""
    if not run.ending:
        run.ending = ending
        run.save(using=conf.database(), update_fields=["ending"])


def _refresh(run: Run, steps: Sequence[Step]) -> None:
    """A sign of life: recount the run's percent, which never falls, and tell it.

    Within `_locked`: what was read of the run is what it is.
    """
    run.percent = max(run.percent, min(percent_of(steps), 99.9))
    Run.objects.using(conf.database()).filter(pk=run.pk).update(
        percent=run.percent, driver_until=after(conf.lease())
    )
    run_changed.send(Run, run=run, steps=steps, error=None)


def percent_of(steps: Sequence[Step]) -> float:
    """Over all steps, each by its weight."""
    total = sum(step.weight for step in steps)
    if len(steps) == 1:
        total *= 50  # the rest of a load is planned once its archive is known
    done = sum(step.weight * step.share for step in steps)
    return round(100 * done / total, 1) if total else 0.0


# -- one step ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    report: StepReport | None = None
    error: Exception | None = None
    stopped: bool = False


def execute(step_id: UUID, *, asked_for: str = "") -> list[Step]:
    """Take the step, do it, settle it. Returns the steps that may now start.

    A message that is late, doubled or forged finds nothing to take and does nothing.
    `asked_for`: the name by which it was asked for, by a message: only a step of that name, and
    none of a run that one process does by itself.
    """
    step = through_outage(lambda: _take(step_id, asked_for))
    if step is None:
        logger.info("step %s is not to be taken: done, taken by another, or unknown", step_id)
        return []
    with logs.about(run=step.run_id, kind=step.run.kind, step=step.name, subject=step.subject):
        context = _context(step)
        with _heartbeat(context):
            outcome = _work(context)
        return through_outage(lambda: _settle(step, context.pulse, outcome))


def _take(step_id: UUID, asked_for: str = "") -> Step | None:
    wanted = Step.objects.using(conf.database()).filter(pk=step_id, state=State.READY)
    allowed = wanted.filter(name=asked_for, run__inline=False) if asked_for else wanted
    run_id = allowed.values_list("run_id", flat=True).first()
    if run_id is None:
        return None
    with _locked(run_id) as run:
        step: Step | None = None if run.ending else wanted.first()
        if step is None or not approval.use(run):
            return None
        taken = _as_taken(step)
        if not wanted.update(**taken, lease_until=after(conf.lease())):
            return None
        step.run = run
        for name, value in taken.items():
            setattr(step, name, value)
        step_changed.send(Step, step=step)  # the run shows no difference: ready is as good as begun
        return step


def _as_taken(step: Step) -> dict[str, Any]:
    """What a step becomes by being taken, but for its lease. Within `_locked`."""
    return {
        "state": State.RUNNING,
        "token": step.token + 1,
        "attempt": step.attempt + 1,
        "worker": process.identity(),
        "started_at": timezone.now(),
    }


def _context(step: Step) -> Context:
    return Context(
        run=step.run,
        step=step,
        workspace=step.run.workspace,
        confirm=lambda: _confirm(step),
        nested=lambda options, steps: _nested(step.run, options, steps),
    )


def _nested(parent: Run, options: Mapping[str, JSON], steps: Iterable[PlannedStep]) -> Run:
    who = f"{parent.kind} {parent.pk}"
    child = create(Kind.DUMP, options, steps, inline=True, requested_by=who, parent=parent)
    return drive(child.pk)


def _mine(step: Step) -> Any:
    """The step's row, if it is still this taker's."""
    return Step.objects.using(conf.database()).filter(
        pk=step.pk, token=step.token, state=State.RUNNING
    )


def _confirm(step: Step) -> None:
    """By a write: within a transaction of Diskette's database nobody takes the step until its end.

    Of the step's row alone, and nothing is waited for after it: a heartbeat locks the run's first.
    """
    is_mine = _mine(step).update(token=step.token)
    if not is_mine or not _mine(step).filter(run__ending="").exists():
        raise Stopped("the step was taken from this process")


def _work(context: Context) -> _Outcome:
    step = context.step
    try:
        if step.attempt > 1:
            time.sleep(BACKOFF_SECONDS)
            close_old_connections()
        context.workspace.create()
        return _Outcome(report=FUNCTIONS[step.run.kind, step.name](context))
    except Stopped:
        return _Outcome(stopped=True)
    except Exception as error:
        if context.pulse.stop:  # whatever an interrupted statement became on its way here
            logger.info("step %s stopped, as %s: %s", step, context.pulse.stop, error)
            return _Outcome(stopped=True)
        if not isinstance(error, (DisketteError, *DATABASE_GONE)):
            logger.exception("step %s of run %s failed", step, step.run_id)
        return _Outcome(error=error)
    except KeyboardInterrupt:
        through_outage(lambda: _settle(step, context.pulse, _Outcome(stopped=True)))
        raise


def _settle(step: Step, pulse: Pulse, outcome: _Outcome) -> list[Step]:
    """Store what came of the step and let its run advance, in one transaction."""
    with _locked(step.run_id) as run:
        mine = _mine(step).first()
        due = [] if mine is None else _settled(run, mine, pulse, outcome)
    if mine is None:
        logger.warning("step %s of run %s was taken from this process", step, run.pk)
        if run.has_ended:
            cleanup(run)  # nobody else clears what this late copy has made since
    if run.ending:
        conclude(step.run_id)
    return due


def _settled(run: Run, step: Step, pulse: Pulse, outcome: _Outcome) -> list[Step]:
    step.run, step.done = run, max(step.done, pulse.done)
    step.total, step.unit = max(step.total, pulse.total), pulse.unit or step.unit
    due = _apply_outcome(run, step, outcome)
    step.lease_until = None
    step.save(using=conf.database())
    step_changed.send(Step, step=step)
    steps = list(_steps(run))
    due += _advance(run, steps)
    _refresh(run, steps)
    return due


def _apply_outcome(run: Run, step: Step, outcome: _Outcome) -> list[Step]:
    step.finished_at = timezone.now()
    if outcome.report is not None:
        _store(run, step, outcome.report)
    elif outcome.error is not None:
        return _failed(run, step, outcome.error)
    elif run.applied_at is not None:
        _retry(step)
        return [step]
    else:
        step.state = State.CANCELLED
        _end(run, State.CANCELLED)
    return []


def _store(run: Run, step: Step, report: StepReport) -> None:
    step.state = State.SKIPPED if report.skipped else State.SUCCEEDED
    step.done = step.total = max(step.done, step.total)
    step.stats, step.output = dict(report.stats), dict(report.output)
    step.findings = [finding.to_json() for finding in report.findings]
    if step.started_at and step.finished_at:
        seconds = (step.finished_at - step.started_at).total_seconds()
        step.stats = step.stats | {"seconds": round(max(seconds, 0.0), 3)}
    _insert(run, report.then)
    logger.info("%s of run %s done: %s", step, run.pk, step.stats)


def _failed(run: Run, step: Step, error: Exception) -> list[Step]:
    """Another attempt where that may help, else the end of the run."""
    allowed = plan.attempts_allowed(run.kind, step.name, applied=run.applied_at is not None)
    lost = isinstance(error, SnapshotLost)
    # Rows are the archive's already: whatever keeps the files from following may pass.
    half_done = step.name == "apply" and run.applied_at is not None
    passing = half_done or isinstance(error, (TemporaryError, *DATABASE_GONE))
    if passing and step.attempt < allowed:
        logger.warning("%s of run %s will be tried again: %s", step, run.pk, error)
        _retry(step)
        return _begin_snapshot_anew(run, step) if lost else [step]
    step.state = State.FAILED
    step.findings = [finding.to_json() for finding in findings_of(error)]
    step.error = error_shape(error)
    _end(run, State.FAILED)
    return []


def _retry(step: Step) -> None:
    step.state, step.finished_at = State.READY, None
    step.due_at = after(conf.lease())


def _begin_snapshot_anew(run: Run, step: Step) -> list[Step]:
    """Data parts of two instants are never mixed: all of them wait for a new one.

    Parts being made at this moment are taken from their makers by a new token.
    """
    parts = _steps(run).filter(name__in=plan.SNAPSHOT_PARTS)
    parts.update(state=State.PENDING, token=F("token") + 1, lease_until=None)
    step.state, step.token = State.PENDING, step.token + 1
    return []


def through_outage(act: Callable[[], T]) -> T:
    """Do it once the database answers; what was worked out is not lost to a restart of it."""
    deadline: float | None = None
    while True:
        try:
            return act()
        except DATABASE_GONE:
            connections[conf.database()].close()
            deadline = deadline or time.monotonic() + OUTAGE_SECONDS
            if time.monotonic() > deadline:
                raise
            time.sleep(BEAT_SECONDS)


# -- errors as findings -----------------------------------------------------------------


def findings_of(error: Exception) -> tuple[Finding, ...]:
    """Every finding an error carries, or itself as one."""
    if isinstance(error, FindingsError):
        return error.findings
    return (_finding_of(error, Severity.ERROR),)


def _finding_of(error: Exception, severity: Severity) -> Finding:
    if isinstance(error, DisketteError):
        return Finding(code=error.code, severity=severity, message=str(error))
    if isinstance(error, (DatabaseError, InterfaceError)):
        return _database_finding(error, severity)
    if isinstance(error, SoftTimeLimitExceeded):
        return Finding(
            code="time-limit",
            severity=severity,
            message="The step took longer than the worker allows a task (`task_soft_time_limit`).",
            hint="Raise the limit in Celery's settings (CELERY_STEP_SECONDS where worker/ is used) "
            "beyond what the largest application or storage takes.",
        )
    if isinstance(error, MemoryError):
        return Finding(
            code="no-memory",
            severity=severity,
            message="The step needed more memory than its process may have.",
            hint="Raise the limit of the worker's process (`ulimit -v`, the unit's or the "
            "container's), or see in its log which field or file is that large.",
        )
    return Finding(
        code="unexpected",
        severity=severity,
        message=f"{type(error).__name__}: {error}",
        hint="A defect of Diskette, or of the project's code that it calls (fields, managers): the "
        "log of the process has the whole story.",
    )


def _database_finding(error: Exception, severity: Severity) -> Finding:
    away = isinstance(error, DATABASE_GONE)
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return Finding(
        code="database-away" if away else "database-refused",
        severity=severity,
        message=f"The database does not answer or refused: {first}",
        hint="If a table or column is missing, run `manage.py migrate`; if it is locked, end what "
        "holds it; else look at DATABASES, the server's log, and the room on its disk.",
    )


def error_shape(error: Exception) -> dict[str, JSON]:
    """As Celery's result backends store errors, so that they come back with type and fields."""
    known = isinstance(error, DisketteError) and not isinstance(error, FindingsError)
    return {
        "exc_type": type(error).__name__,
        "exc_module": type(error).__module__,
        "exc_message": list(error.args) if known else [str(error)],
    }


# -- the heartbeat ----------------------------------------------------------------------


@contextmanager
def _heartbeat(context: Context) -> Iterator[None]:
    """Renew the lease and tell the progress while the step works; interrupt it when it must end."""
    ended = threading.Event()
    with interrupting.watched() as statements:
        thread = threading.Thread(
            target=copy_context().run,  # so that what it logs is about the step, too
            args=(_beat, context, statements, ended),
            name=f"heartbeat {context.step}",
            daemon=True,
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _beat(context: Context, statements: Statements, ended: threading.Event) -> None:
    pause = min(BEAT_SECONDS, conf.lease().total_seconds() / 4)
    try:
        while not ended.wait(pause):
            if not context.pulse.stop:
                _renew_if_there(context)
            if context.pulse.stop and context.step.name in plan.INTERRUPTIBLE:
                statements.interrupt()
    finally:
        connections.close_all()


def _renew_if_there(context: Context) -> None:
    try:
        _renew(context)
    except DATABASE_GONE as error:
        # Whoever takes the step over gets a new token, so going on is safe.
        logger.warning("no heartbeat for %s: %s", context.step, error)
        connections[conf.database()].close()


def _renew(context: Context) -> None:
    pulse = context.pulse
    with _locked(context.step.run_id) as run:
        renewed = _mine(context.step).update(
            lease_until=after(conf.lease()),
            done=Greatest(F("done"), pulse.done),
            total=Greatest(F("total"), pulse.total),
            unit=pulse.unit or F("unit"),
        )
        if not renewed:
            pulse.stop = "its lease passed to another"
        elif run.ending:
            pulse.stop = f"the run is {run.ending}"
        else:
            step_changed.send(Step, step=_mine(context.step).select_related("run").get())
            _refresh(run, list(_steps(run)))


# -- ending -----------------------------------------------------------------------------


def conclude(run_id: UUID) -> None:
    """End a run whose ending is decided and that has no step at work; else do nothing.

    What it left is cleared first, so an ended run has left nothing; both may be repeated.
    """
    runs = Run.objects.using(conf.database())
    run = runs.get(pk=run_id)
    if run.has_ended or not run.ending or _steps(run).filter(state=State.RUNNING).exists():
        return
    with logs.about(run=run.pk, kind=run.kind):
        leftovers = cleanup(run)
    with _locked(run_id) as run:
        if run.has_ended or _steps(run).filter(state=State.RUNNING).exists():
            return
        run.findings = [*run.findings, *(finding.to_json() for finding in leftovers)]
        _cancel_open_steps(run)
        run.state, run.finished_at = run.ending, timezone.now()
        run.options = without_secrets(run.options)
        if run.state == State.SUCCEEDED:
            run.percent = 100.0
        run.save(using=conf.database())
        Lock.objects.using(conf.database()).filter(run=run).delete()
        run_changed.send(Run, run=run, error=None)
        _tell_after_commit(run)
    with logs.about(run=run.pk, kind=run.kind):
        logger.info("%s %s", run, run.state)


def _cancel_open_steps(run: Run) -> None:
    for step in _steps(run).filter(state__in=(State.PENDING, State.READY)):
        step.state, step.finished_at = State.CANCELLED, timezone.now()
        step.save(using=conf.database())
        step_changed.send(Step, step=step)


# -- telling ----------------------------------------------------------------------------


def _tell_start(run_id: UUID) -> None:
    try:
        run = _get(run_id)
        with logs.about(run=run.pk, kind=run.kind):
            found = signals.tell_start(run)
        if found:
            with _locked(run_id) as run:
                _add(run, found)
    except DATABASE_GONE as error:
        logger.warning("the start of run %s is told to nobody: %s", run_id, error)


def _tell_after_commit(run: Run, error: Exception | None = None) -> None:
    """Have the end told. Within the transaction that ends the run.

    Its row says so until it is done, so that a sweep does it where this process is killed.
    """
    alias = conf.database()
    ended = Run.objects.using(alias).filter(pk=run.pk)
    ended.update(teller=process.identity(), tell_at=after(TELLING))
    transaction.on_commit(lambda: _tell(run.pk, error), using=alias)


def _tell(run_id: UUID, error: Exception | None = None) -> None:
    try:
        run = _get(run_id)
        with logs.about(run=run.pk, kind=run.kind):
            _settle_telling(run_id, signals.tell_end(run), error)
    except DATABASE_GONE as gone:
        logger.warning("the end of run %s is left for a sweep to tell: %s", run_id, gone)


def _settle_telling(run_id: UUID, found: Sequence[Finding], error: Exception | None) -> None:
    with _locked(run_id) as run:
        run.tell_at = None
        run.save(using=conf.database(), update_fields=["tell_at"])
        if found:
            _add(run, found, error)


def _add(run: Run, found: Sequence[Finding], error: Exception | None = None) -> None:
    """What came of telling, to its findings. Within `_locked`."""
    run.findings = [*run.findings, *(finding.to_json() for finding in found)]
    run.save(using=conf.database(), update_fields=["findings"])
    run_changed.send(Run, run=run, error=error)


def _tell_untold() -> None:
    """Tell the ends that whoever was to tell them did not."""
    untold = Run.objects.using(conf.database()).exclude(tell_at=None)
    late = set(untold.filter(tell_at__lt=Now()).values_list("pk", flat=True))
    for run in untold.only("pk", "teller"):
        is_left = run.pk in late or process.is_gone(run.teller)
        # Marked before: what kills whoever tells it kills one sweep, not each.
        if is_left and untold.filter(pk=run.pk).update(tell_at=None):
            _tell(run.pk)


def cancel(run_id: UUID) -> Run:
    """Ask a run to end. Raises UsageError where that is no longer possible."""
    with _locked(run_id) as run:
        if run.has_ended:
            raise UsageError(f"Run {run_id} has already ended: it {run.state}.")
        applying = _steps(run).filter(name="apply", state=State.RUNNING).exists()
        if run.applied_at is not None or (applying and run.kind == Kind.LOAD):
            raise UsageError(
                f"Run {run_id} is being applied and can only be finished. Load the safety dump "
                "afterwards if you want the former state back."
            )
        for child in run.children.using(conf.database()).exclude(state__in=ENDED):
            _end(child, State.CANCELLED)
        _end(run, State.CANCELLED)
    conclude(run_id)
    return Run.objects.using(conf.database()).get(pk=run_id)


def fail(run_id: UUID, error: Exception) -> None:
    """End a run that could not be started or went on without its driver."""
    with _locked(run_id) as run:
        if not run.has_ended and not run.ending:
            _fail(run, *findings_of(error))
    conclude(run_id)


def _fail(run: Run, *findings: Finding) -> None:
    """Within `_locked`."""
    run.findings = [*run.findings, *(finding.to_json() for finding in findings)]
    run.save(using=conf.database(), update_fields=["findings"])
    _end(run, State.FAILED)


# -- driving in this process ------------------------------------------------------------


def drive(run_id: UUID) -> Run:
    """Do a run's steps here, one after another, until it has ended.

    An interrupt cancels it, unless its data is applied: then it is finished first.
    """
    interrupt: KeyboardInterrupt | None = None
    while not (run := through_outage(lambda: _get(run_id))).has_ended:
        try:
            _drive_once(run)
        except KeyboardInterrupt as error:
            if interrupt is not None:
                raise
            interrupt = error
            _interrupt(run_id)
    if interrupt is not None:
        raise KeyboardInterrupt(_left_by(run)) from interrupt
    return run


def _left_by(run: Run) -> str:
    """What an interrupted run has done all the same, for a person to know."""
    if run.applied_at is not None:
        return f"Interrupted when the rows were replaced already: {run} went on and {run.state}."
    archives = Archive.objects.using(conf.database()).filter(Q(run=run) | Q(run__parent=run))
    paths = ", ".join(archives.values_list("path", flat=True))
    return f"Interrupted; nothing was left behind{f' but {paths}, complete' if paths else ''}."


def _get(run_id: UUID) -> Run:
    return Run.objects.using(conf.database()).get(pk=run_id)


def _drive_once(run: Run) -> None:
    ready = through_outage(lambda: list(_steps(run).filter(state=State.READY)))
    for step in ready:
        execute(step.pk)
    if not ready:
        # Another process is at work on it: a sweep that took this one for dead.
        time.sleep(BEAT_SECONDS / 10)
        through_outage(lambda: _mend(run.pk))


def _mend(run_id: UUID) -> None:
    _heal(run_id)
    conclude(run_id)


def _interrupt(run_id: UUID) -> None:
    run = _get(run_id)
    if not run.has_ended and run.applied_at is None:
        cancel(run_id)


# -- the sweep --------------------------------------------------------------------------


def sweep() -> list[Step]:
    """Find what was lost: lapsed leases, unsent steps, unended runs, orphaned workspaces.

    Returns the steps that should be sent to workers. May run anywhere, at any time, twice.
    """
    due: list[Step] = []
    runs = Run.objects.using(conf.database())
    for run_id in list(runs.exclude(state__in=ENDED).values_list("pk", flat=True)):
        due += _heal(run_id)
        conclude(run_id)
        if _adopt(run_id):
            drive(run_id)
    _remove_orphans()
    _tell_untold()
    _forget()
    return due


def _heal(run_id: UUID) -> list[Step]:
    """Give back what nobody works on any more. Returns what should be sent again."""
    with _locked(run_id) as run:
        if run.has_ended:
            return []
        for step in _lapsed(run):
            _give_back(run, step)
        _fail_expired(run)
        if run.ending or run.inline:
            _fail_abandoned(run)
            return []
        ready = _steps(run).filter(state=State.READY, due_at__lte=Now())
        unsent = list(ready)
        ready.update(due_at=after(conf.lease()))
        return unsent


def _lapsed(run: Run) -> list[Step]:
    """Steps at work whose lease is over, or whose process has surely ended."""
    at_work = _steps(run).filter(state=State.RUNNING)
    over = set(at_work.filter(lease_until__lt=Now()).values_list("pk", flat=True))
    return [step for step in at_work if step.pk in over or process.is_gone(step.worker)]


def _give_back(run: Run, step: Step) -> None:
    """Take a step from a process that gave no sign of life; another attempt, or the end."""
    step.token, step.lease_until = step.token + 1, None
    allowed = plan.attempts_allowed(run.kind, step.name, applied=run.applied_at is not None)
    if run.ending:
        step.state, step.finished_at = State.CANCELLED, timezone.now()
    elif step.attempt < allowed and not (run.inline and run.applied_at is None):
        step.state, step.due_at = State.READY, Now()
    else:
        step.state, step.finished_at = State.FAILED, timezone.now()
        step.findings = [_lease_lost(run, step).to_json()]
        _end(run, State.FAILED)
    step.save(using=conf.database())
    step_changed.send(Step, step=step)


def _lease_lost(run: Run, step: Step) -> Finding:
    again = "Nothing was changed; start it again." if run.applied_at is None else ""
    return Finding(
        code="lease-lost",
        severity=Severity.ERROR,
        message=f"{step}: the process at work on it ended or went silent (attempt {step.attempt}).",
        hint=f"Look into the worker's log and the kernel's for what killed it. {again}".rstrip(),
    )


def _is_abandoned(run: Run) -> bool:
    """Whether no process drives an inline run any more."""
    if not run.inline or run.has_ended or _steps(run).filter(state=State.RUNNING).exists():
        return False
    silent = Run.objects.using(conf.database()).filter(pk=run.pk, driver_until__lt=Now())
    return process.is_gone(run.driver) or silent.exists()


def _fail_abandoned(run: Run) -> None:
    if not run.ending and run.applied_at is None and _is_abandoned(run):
        lost = Finding(
            code="lease-lost",
            severity=Severity.ERROR,
            message="The process that did this run ended or went silent between two steps.",
            hint="Nothing was changed; start it again.",
        )
        _fail(run, lost)


def _fail_expired(run: Run) -> None:
    if not run.ending and (expired := approval.expired(run)):
        _fail(run, expired)


def _adopt(run_id: UUID) -> bool:
    """Become the driver of an applied load whose own has gone: it can only be finished."""
    with _locked(run_id) as run:
        if run.applied_at is None or run.ending or not _is_abandoned(run):
            return False
        run.driver = process.identity()
        run.save(using=conf.database(), update_fields=["driver"])
        _refresh(run, list(_steps(run)))
        return True


def _forget() -> None:
    """Remove runs older than DISKETTE_HISTORY, with their steps and results."""
    alias = conf.database()
    old = [run.pk for run in _forgettable()[:FORGOTTEN_AT_ONCE]]
    if not old:
        return
    with transaction.atomic(using=alias):
        runs = Run.objects.using(alias).filter(Q(pk__in=old) | Q(parent__in=old))
        steps = Step.objects.using(alias).filter(run__in=list(runs))
        ids = [*(str(run.pk) for run in runs), *(step.result_id for step in steps)]
        runs_forgotten.send(Run, ids=ids)
        Run.objects.using(alias).filter(pk__in=old).delete()
    logger.info("%s runs that ended long ago were forgotten", len(old))


def _forgettable() -> QuerySet[Run]:
    """What nobody asks for any more: no run whose archive is there, no last success of its kind.

    Retention asks the run of an archive what it was to hold; people ask when it last went well.
    """
    runs = Run.objects.using(conf.database())
    if (age := conf.history()) is None:
        return runs.none()
    ended = runs.filter(parent=None, state__in=ENDED, tell_at=None)
    made = Archive.objects.using(conf.database()).filter(
        Q(run=OuterRef("pk")) | Q(run__parent=OuterRef("pk")), removed_at=None
    )
    succeeded = runs.filter(parent=None, state=State.SUCCEEDED).order_by("-finished_at")
    last = [succeeded.filter(kind=kind).values_list("pk", flat=True).first() for kind in Kind]
    old = ended.filter(finished_at__lt=timezone.now() - age).exclude(pk__in=filter(None, last))
    return old.filter(~Exists(made)).order_by("finished_at")


def _remove_orphans() -> None:
    runs = Run.objects.using(conf.database())
    live = {str(pk) for pk in runs.exclude(state__in=ENDED).values_list("pk", flat=True)}
    root, grace = conf.workspace_root(), conf.lease()
    try:
        found = patience.within(root, lambda: orphans(root, live, grace))
    except StorageError as error:
        logger.warning("Workspaces could not be looked at; the next sweep tries again. %s", error)
        return
    for workspace in found:
        workspace.remove()
