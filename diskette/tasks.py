"""Celery's doors: one call each, named for ever.

A message carries a step's id and nothing else. It may be lost, doubled or late, and it
carries no authority: what is done stands in the step's row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import current_app, shared_task
from celery.signals import worker_ready

from diskette import conf, engine, fetch, messages, runs
from diskette import health as healths
from diskette.core import plan
from diskette.core.exceptions import RunConflict
from diskette.core.lazy import Lazy
from diskette.core.logs import logger_of

if TYPE_CHECKING:
    from diskette.doctor import verifying
else:
    verifying = Lazy("diskette.doctor.verifying")

logger = logger_of(__name__)


def _take(name: str, step_id: object) -> None:
    try:
        step = UUID(step_id)  # type: ignore[arg-type]
    except (AttributeError, TypeError, ValueError):
        logger.warning("a message for %s names no step: %r", name, step_id)
        return
    messages.publish(engine.execute(step))


def _door(name: str) -> Any:
    @shared_task(name=f"diskette.{name}", ignore_result=True, acks_late=False)
    def take(step_id: str) -> None:
        _take(name, step_id)

    return take


@shared_task(name="diskette.prune", acks_late=False)
def prune(*step_id: str) -> str | None:
    """Begin to prune on the workers. Returns its run's id, also where another run is active.

    The step of that name is asked for by the same name, with its id. Which archives go is for
    settings to say, never for a message.
    """
    if step_id:
        _take("prune", step_id[0])
        return None
    return _begun(runs.start_prune, "task diskette.prune")


STEP_TASKS = {name: prune if name == "prune" else _door(name) for name in plan.NAMES}


@shared_task(name="diskette.dump")
def dump(
    *,
    applications: Sequence[str] = (),
    data: bool = True,
    storages: bool = True,
    label: str | None = None,
) -> str:
    """Begin a dump on the workers. Returns its run's id, also where another run is active.

    Where archives go is for settings and commands to say, never for a message.
    """
    chosen: dict[str, Any] = {
        "applications": applications,
        "data": data,
        "storages": storages,
        "label": label,
    }
    return _begun(lambda **common: runs.start_dump(**chosen, **common), "task diskette.dump")


@shared_task(name="diskette.load")
def load(
    archive: str,
    *,
    applications: Sequence[str] = (),
    exclude: Sequence[str] = (),
    data: bool = True,
    storages: bool = True,
    mode: str = "replace",
) -> str | None:
    """Begin a load of an archive named in the destination; obeyed only where that is allowed.

    A message proves nothing about its sender, so it is off unless DISKETTE_LOAD_ENABLED is set,
    and never takes a path or URL. `diskette.load()`, called in a task of your own, needs neither.
    """
    if not conf.load_enabled() or "/" in archive:
        logger.warning(
            "a message asked to load %r and was refused: set DISKETTE_LOAD_ENABLED to obey "
            "messages, and name an archive in the destination",
            archive,
        )
        return None
    chosen: dict[str, Any] = {
        "archive": archive if archive == fetch.LATEST else str(conf.destination() / archive),
        "applications": applications,
        "exclude": exclude,
        "data": data,
        "storages": storages,
        "mode": mode,
    }
    return _begun(lambda **common: runs.start_load(**chosen, **common), "task diskette.load")


@shared_task(name="diskette.drill")
def drill(archive: str = fetch.LATEST) -> str | None:
    """Begin a drill on the workers. Returns its run's id, also where another drill is active.

    Only of an archive in the destination: what else to read is not for a message to say.
    """
    if "/" in archive:
        logger.warning("a message asked to drill %r: name an archive in the destination", archive)
        return None
    named = archive if archive == fetch.LATEST else str(conf.destination() / archive)
    return _begun(lambda **common: runs.start_drill(named, **common), "task diskette.drill")


@shared_task(name="diskette.verify")
def verify() -> dict[str, Any]:
    """Verify the share of the archives that DISKETTE_VERIFY_SAMPLE says, in this task.

    Returns what `diskette_verify --format json` prints. It is no run: it changes nothing, so
    dumps and loads need not wait for it, and whoever repeats it begins where it ended.
    """
    verdicts = verifying.verify_sample(conf.verify_sample())
    return {"archives": [each.to_json() for each in verdicts]}


def _begun(start: Callable[..., runs.Handle], who: str) -> str:
    try:
        return str(start(enqueue=True, requested_by=who).id)
    except RunConflict as conflict:
        logger.warning("%s skipped: %s", who, conflict)
        return conflict.run


@shared_task(name="diskette.health", acks_late=False)
def health() -> dict[str, Any]:
    """Say what is wrong with the backups, and tell people what of it is new, or over.

    Returns what `diskette_health --format json` prints. It is no run: it changes nothing.
    """
    return healths.report(at_work=True).to_json()


@shared_task(name="diskette.sweep", ignore_result=True)
def sweep() -> None:
    """Find what was lost and send it again."""
    healths.saw_sweep()
    messages.publish(engine.sweep())


@worker_ready.connect
def _sweep_at_start(**_: object) -> None:
    current_app.send_task("diskette.sweep", queue=conf.queue(), retry=False)
