"""Celery's doors: one call each, named for ever.

A message carries a step's id and nothing else. It may be lost, doubled or late, and it
carries no authority: what is done stands in the step's row. One that is not as ours are
leaves a line in the log, no row and no result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import Task, current_app, shared_task
from celery.exceptions import Ignore
from celery.signals import task_revoked, worker_ready
from django.db import connections

from diskette import conf, engine, fetch, messages, runs
from diskette import health as healths
from diskette.core import plan
from diskette.core.exceptions import ArchiveNotFound, RunConflict
from diskette.core.lazy import Lazy
from diskette.core.logs import logger_of

if TYPE_CHECKING:
    from diskette.doctor import verifying
else:
    verifying = Lazy("diskette.doctor.verifying")

logger = logger_of(__name__)

MODES = ("replace", "merge")
LONGEST_WORD = 255
"""Characters; no label, no definition and no archive has a longer name."""


class Door(Task):  # type: ignore[type-arg]  # Celery's own cannot be subscripted
    """A task whose messages are looked at before anything is done or stored for them."""

    acks_late = False
    track_started = False  # its result would be written before the message is looked at

    def before_start(
        self, task_id: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> None:
        """Refuse arguments that do not fit, and ids whose results are for runs to write."""
        try:
            inspect.signature(self.run).bind(*args, **kwargs)
        except TypeError as error:
            _refuse(self, str(error))
        if not self._ignores_result and _is_of_a_run(task_id):
            _refuse(self, "it would overwrite the result of a run")

    @property
    def _ignores_result(self) -> bool:
        """A message may say so itself, whatever the task does."""
        said = vars(self.request).get("ignore_result")
        return bool(self.ignore_result if said is None else said)


def _is_of_a_run(task_id: str) -> bool:
    run_id = _uuid(task_id.partition("/")[0])
    return run_id is not None and engine.exists(run_id)


def _refuse(task: Task[Any, Any], why: str) -> None:
    """Leave a line in the log; no result, where a message asked."""
    logger.warning("a message for %s was refused: %.300s", task.name, why)
    if not task.request.called_directly:
        raise Ignore(why)


def _uuid(word: object) -> UUID | None:
    try:
        return UUID(word)  # type: ignore[arg-type]
    except (AttributeError, TypeError, ValueError):
        return None


def _take(name: str, step_id: object) -> None:
    step = _uuid(step_id)
    if step is None:
        logger.warning("a message for %s names no step: %.80r", name, step_id)
        return
    messages.publish(engine.execute(step, asked_for=name))


def _door(name: str) -> Any:
    @shared_task(base=Door, name=f"diskette.{name}", ignore_result=True)
    def take(step_id: str) -> None:
        _take(name, step_id)

    return take


@shared_task(base=Door, name="diskette.prune")
def prune(*step_id: str) -> str | None:
    """Begin to prune on the workers. Returns its run's id, also where another run is active.

    The step of that name is asked for by the same name, with its id. Which archives go is for
    settings to say, never for a message.
    """
    if step_id:
        _take("prune", step_id[0])
        return None
    return _begun(prune, runs.start_prune)


STEP_TASKS = {name: prune if name == "prune" else _door(name) for name in plan.NAMES}


@shared_task(base=Door, name="diskette.dump")
def dump(
    *,
    applications: Sequence[str] = (),
    data: bool = True,
    storages: bool = True,
) -> str | None:
    """Begin a dump on the workers. Returns its run's id, also where another run is active.

    Where archives go, and whose they are, is for settings and commands to say, never for a
    message: by its label one would be the newest of another project. None: refused.
    """
    return _begun(
        dump,
        runs.start_dump,
        applications=applications,
        data=data,
        storages=storages,
    )


@shared_task(base=Door, name="diskette.load")
def load(
    archive: str,
    *,
    applications: Sequence[str] = (),
    exclude: Sequence[str] = (),
    data: bool = True,
    storages: bool = True,
    mode: str = "replace",
    merge_storages: bool = False,
) -> str | None:
    """Begin a load of an archive named in the destination; obeyed only where that is allowed.

    A message proves nothing about its sender, so it is off unless DISKETTE_LOAD_ENABLED is set,
    and never takes a path or URL. `diskette.load()`, called in a task of your own, needs neither.
    Returns the run's id. None: refused.
    """
    if not conf.load_enabled():
        _refuse(load, "set DISKETTE_LOAD_ENABLED to obey messages that ask for a load")
        return None
    return _begun(
        load,
        lambda archive, **chosen: runs.start_load(fetch.in_destination(archive), **chosen),
        archive=archive,
        applications=applications,
        exclude=exclude,
        data=data,
        storages=storages,
        mode=mode,
        merge_storages=merge_storages,
    )


@shared_task(base=Door, name="diskette.drill")
def drill(archive: str = fetch.LATEST) -> str | None:
    """Begin a drill on the workers. Returns its run's id, also where another drill is active.

    Only of an archive in the destination: what else to read is not for a message to say.
    None: refused.
    """
    return _begun(
        drill,
        lambda archive, **common: runs.start_drill(fetch.in_destination(archive), **common),
        archive=archive,
    )


@shared_task(base=Door, name="diskette.verify")
def verify() -> dict[str, Any]:
    """Verify the share of the archives that DISKETTE_VERIFY_SAMPLE says, in this task.

    Returns what `diskette_verify --format json` prints. It is no run: it changes nothing, so
    dumps and loads need not wait for it, and whoever repeats it begins where it ended.
    """
    verdicts = verifying.verify_sample(conf.verify_sample())
    return {"archives": [each.to_json() for each in verdicts]}


def _begun(task: Task[Any, Any], start: Callable[..., runs.Handle], **chosen: object) -> str | None:
    """The id of a run that a message asked for; None where it could not be obeyed."""
    strange = [name for name, value in chosen.items() if not _fits(name, value)]
    if strange:
        _refuse(task, f"the value of {', '.join(strange)} is not of its kind")
        return None
    try:
        return str(start(**chosen, enqueue=True, requested_by=f"task {task.name}").id)
    except ArchiveNotFound as error:
        _refuse(task, str(error))
        return None
    except RunConflict as conflict:
        logger.warning("task %s skipped: %s", task.name, conflict)
        return conflict.run


def _fits(name: str, value: object) -> bool:
    """Whether what a message says is of the kind that the option of that name is."""
    match name:
        case "data" | "storages" | "merge_storages":
            return isinstance(value, bool)
        case "applications" | "exclude":
            return isinstance(value, (list, tuple)) and all(map(_is_word, value))
        case "mode":
            return value in MODES
    return _is_word(value)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_WORD


@shared_task(base=Door, name="diskette.health")
def health() -> dict[str, Any]:
    """Say what is wrong with the backups, and tell people what of it is new, or over.

    Returns what `diskette_health --format json` prints. It is no run: it changes nothing.
    """
    return healths.report(at_work=True).to_json()


@shared_task(base=Door, name="diskette.sweep", ignore_result=True)
def sweep() -> None:
    """Find what was lost and send it again."""
    healths.saw_sweep()
    messages.publish(engine.sweep())


@task_revoked.connect
def _take_back(*, sender: Task[Any, Any], request: Any, **_: object) -> None:
    """Have a worker forget that steps of a run were revoked: once is enough to be without it.

    The sweep asks again by the same id, and in vain for the hours that a worker remembers it; the
    run would wait, and its lock be held. `diskette_cancel` ends runs.
    """
    from celery.worker.state import revoked

    if sender.name.removeprefix("diskette.") not in STEP_TASKS:
        return
    run = request.id.partition("/")[0]
    for step in [each for each in revoked if each.partition("/")[0] == run]:
        revoked.discard(step)
    # Celery has noted it among the results; its main process needs no database for anything else.
    connections.close_all()
    logger.warning("steps of run %s were revoked, and will be asked for again", run)


@worker_ready.connect
def _sweep_at_start(**_: object) -> None:
    current_app.send_task("diskette.sweep", queue=conf.queue(), retry=False)
