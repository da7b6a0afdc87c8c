"""Asynchronous backups for Django: dumps and loads as chains of Celery tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diskette.core.version import __version__

if TYPE_CHECKING:
    from diskette.runs import Handle

__all__ = ["__version__", "beat_schedule", "drill", "dump", "load"]


def beat_schedule() -> dict[str, dict[str, Any]]:
    """What beat has to send, from DISKETTE_SCHEDULE; see `diskette.schedule`."""
    from diskette.schedule import beat_schedule

    return beat_schedule()


def dump(**options: Any) -> Handle:
    """Dump this project into one archive; see `diskette.runs.start_dump` for the options.

    Returns a handle with `id`, `state`, `progress`, `findings` and `wait()`. With
    `enqueue=True` the steps are done by workers and it returns at once.
    """
    from diskette.runs import start_dump

    return start_dump(**options)


def drill(archive: str = "latest", **options: Any) -> Handle:
    """Prove that an archive can be restored; see `diskette.runs.start_drill` for the options.

    It writes nothing live. Returns a handle, as `dump` does.
    """
    from diskette.runs import start_drill

    return start_drill(archive, **options)


def load(archive: str, **options: Any) -> Handle:
    """Load an archive into this project; see `diskette.runs.start_load` for the options.

    Calling it is the approval: it asks nothing. Returns a handle, as `dump` does.
    """
    from diskette.runs import start_load

    return start_load(archive, **options)
