"""Starting dumps, loads, drills and prunes, and the handle by which they are watched.

Every door goes through here: commands, tasks, the Python functions. A run is planned and
refused, or recorded and begun; in this process, or by workers when `enqueue` is set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from celery import current_app
from django.db import connections

from diskette import approval, conf, engine, fetch, messages, results
from diskette.core import plan
from diskette.core.exceptions import (
    BrokerUnreachable,
    ConfigurationError,
    DisketteError,
    UsageError,
)
from diskette.core.plan import Kind, State
from diskette.core.report import JSON, Finding, PlannedStep, Progress
from diskette.core.retention import Decision, Retention
from diskette.models import Run
from diskette.steps import drill as drill_steps
from diskette.steps import dump as dump_steps
from diskette.steps import prune as prune_steps

POLL_SECONDS = 0.2
LONGEST_NAME = 200
"""Characters of `requested_by`; a project's users may have longer names."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A run, seen from outside. Every property is read anew from its row."""

    id: UUID

    @property
    def run(self) -> Run:
        return Run.objects.using(conf.database()).get(pk=self.id)

    @property
    def kind(self) -> str:
        return self.run.kind

    @property
    def state(self) -> str:
        """`pending`, `running`, `succeeded`, `failed`, `skipped` or `cancelled`."""
        return self.run.state

    @property
    def progress(self) -> Progress:
        """Steps done of steps planned; `percent` weighs them (docs/results.md)."""
        shape = results.run_shape(self.run)["progress"]
        return Progress(done=shape["done"], total=shape["total"], unit="steps")

    @property
    def percent(self) -> float:
        return self.run.percent

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.run.all_findings

    @property
    def archive(self) -> str:
        """Path of the archive that was made or loaded; empty before it is known."""
        return self.run.archive

    def wait(self, timeout: float | None = None) -> Handle:
        """Return when the run has ended, however it did.

        Who waits also sweeps, once a lease: a run that lost its worker ends without beat, too.
        Raises TimeoutError after `timeout` seconds. Waiting for an enqueued run needs workers;
        never wait inside a task that occupies the only one.
        """
        begun = swept = time.monotonic()
        while not engine.through_outage(lambda: self.run).has_ended:
            now = time.monotonic()
            if timeout is not None and now > begun + timeout:
                raise TimeoutError(f"run {self.id} has not ended after {timeout} seconds")
            if now > swept + conf.lease().total_seconds():
                messages.publish(engine.through_outage(engine.sweep))
                swept = now
            time.sleep(POLL_SECONDS)
        return self

    def cancel(self) -> None:
        """Ask the run to end. Raises UsageError where that is no longer possible."""
        engine.cancel(self.id)


def start_dump(
    *,
    applications: Sequence[str] = (),
    data: bool = True,
    storages: bool = True,
    label: str | None = None,
    destination: str | None = None,
    filename: str | None = None,
    enqueue: bool = False,
    requested_by: str = "",
    user: approval.User | None = None,
    on_start: Callable[[Handle], None] | None = None,
) -> Handle:
    """Dump. Raises ConfigurationError, UsageError or RunConflict before anything is begun.

    Without `enqueue` it returns when the run has ended; `on_start` is told of it before. Raises
    NotAllowed for a `user` who lacks the permission `diskette.dump_archive`.
    """
    options = dump_steps.options(
        applications=applications,
        data=data,
        storages=storages,
        label=label,
        destination=destination,
        filename=filename,
    )
    return _start(
        Kind.DUMP,
        options,
        lambda: dump_steps.plan_of(options),
        enqueue,
        requested_by,
        user,
        on_start,
    )


def start_load(
    archive: str,
    *,
    applications: Sequence[str] = (),
    models: Sequence[str] = (),
    exclude: Sequence[str] = (),
    data: bool = True,
    storages: bool = True,
    mode: str = "replace",
    merge_storages: bool = False,
    ignore_nonexistent: bool = False,
    drop_stale: bool = False,
    salvage: bool = False,
    checksum: str | None = None,
    into: str | None = None,
    safety: bool | None = None,
    check: bool = False,
    enqueue: bool = False,
    requested_by: str = "",
    user: approval.User | None = None,
    on_start: Callable[[Handle], None] | None = None,
) -> Handle:
    """Load an archive: a path, a URL, a name in the destination, or `latest`.

    Calling it approves the load, in the name of `user` if one is given. Raises NotAllowed where
    they lack the permission `diskette.load_archive`. `into`: this environment's name, by which an
    archive of another one is let in.
    `merge_storages`: files that are here and not in the archive stay, as they do by mode `merge`.
    `salvage`: of a damaged one, what is whole; what is left out stands in the findings.
    """
    options = {
        "archive": str(archive),
        "applications": list(applications),
        "models": list(models),
        "exclude": list(exclude),
        "data": data,
        "storages": storages,
        "mode": mode,
        "merge_storages": merge_storages,
        "ignore_nonexistent": ignore_nonexistent,
        "drop_stale": drop_stale,
        "salvage": salvage,
        "checksum": checksum,
        "into": into,
        "safety": conf.safety_dump() if safety is None else safety,
        "check": check,
    }
    return _start(
        Kind.LOAD, options, lambda: _plan_load(options), enqueue, requested_by, user, on_start
    )


def start_drill(
    archive: str = fetch.LATEST,
    *,
    enqueue: bool = False,
    requested_by: str = "",
    user: approval.User | None = None,
    on_start: Callable[[Handle], None] | None = None,
) -> Handle:
    """Restore an archive into scratch places beside what is live, and prove it right.

    A path, a URL, a name in the destination, or `latest`. It writes nothing live, so it runs
    beside dumps and loads; RunConflict is raised only where another drill is active.
    """
    options = drill_steps.options(str(archive)) | {"drill_check": conf.drill_check()}
    return _start(Kind.DRILL, options, drill_steps.plan_of, enqueue, requested_by, user, on_start)


def start_prune(
    *,
    policy: Retention | None = None,
    label: str | None = None,
    destination: str | None = None,
    approved: Sequence[str] | None = None,
    enqueue: bool = False,
    requested_by: str = "",
    user: approval.User | None = None,
    on_start: Callable[[Handle], None] | None = None,
) -> Handle:
    """Remove what the policy no longer keeps: the settings' one, unless another is given."""
    options = prune_steps.options(
        policy=policy, label=label, destination=destination, approved=approved
    )
    return _start(Kind.PRUNE, options, plan.prune_plan, enqueue, requested_by, user, on_start)


def _plan_load(options: Mapping[str, JSON]) -> Sequence[PlannedStep]:
    if not options["data"] and not options["storages"]:
        raise UsageError("Nothing is left to load: data and storages are both switched off.")
    if options["mode"] not in ("replace", "merge"):
        raise UsageError(f"Unknown mode {options['mode']!r}: choose replace or merge.")
    return plan.load_opening()


def _start(
    kind: Kind,
    options: Mapping[str, JSON],
    planned: Callable[[], Sequence[PlannedStep]],
    enqueue: bool,
    requested_by: str,
    user: approval.User | None,
    on_start: Callable[[Handle], None] | None,
) -> Handle:
    who = approval.require(user, kind) if user is not None else requested_by or _calling_task()
    requested_by = who[:LONGEST_NAME]
    _refuse_open_transaction()
    messages.publish(engine.sweep())
    try:
        steps = planned()
    except DisketteError as error:
        engine.refuse(kind, options, error, requested_by=requested_by)
        raise
    run = engine.create(kind, options, steps, inline=not enqueue, requested_by=requested_by)
    handle = Handle(run.pk)
    if enqueue:
        _enqueue(run)
    if on_start is not None:
        on_start(handle)
    if not enqueue:
        engine.drive(run.pk)
    return handle


def _calling_task() -> str:
    """The task of the project's own that begins a run, which is one in its name."""
    task = current_app.current_task
    return f"task {task.name}" if task else ""


def _enqueue(run: Run) -> None:
    try:
        messages.send(
            run.steps.using(conf.database()).filter(state=State.READY).select_related("run")
        )
    except BrokerUnreachable as error:
        engine.fail(run.pk, error)
        raise


def _refuse_open_transaction() -> None:
    if any(connections[alias].in_atomic_block for alias in conf.database_aliases()):
        raise ConfigurationError(
            "A run cannot start inside a transaction: its steps would not be seen by the processes "
            "that do them. Start it with transaction.on_commit, or outside of atomic()."
        )


def check_dump(**chosen: JSON) -> dict[str, JSON]:
    """What a dump of these options would take in; nothing is written.

    Raises ConfigurationError, UsageError or InsufficientSpace, as the dump would.
    """
    options = dump_steps.options(**chosen)
    dump_steps.plan_of(options)
    return dump_steps.preview(options)


def check_prune(**chosen: JSON) -> list[Decision]:
    """What a prune of these options would keep and remove; nothing is. Raises UsageError."""
    return prune_steps.decisions(prune_steps.options(**chosen))
