"""What beat sends, and when: `app.conf.beat_schedule = diskette.beat_schedule()`.

Needs settings, but no application loaded: Celery reads its configuration before Django's
applications are ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from itertools import pairwise
from typing import Any

from celery.schedules import ParseException, crontab

from diskette import conf
from diskette.core.exceptions import ConfigurationError

JOBS: Mapping[str, str] = {
    "sweep": "diskette.sweep",
    "dump": "diskette.dump",
    "prune": "diskette.prune",
    "drill": "diskette.drill",
    "verify": "diskette.verify",
    "health": "diskette.health",
}
"""By name in DISKETTE_SCHEDULE, the task."""

HOUR_SECONDS = 60 * 60
DAY_MINUTES = 24 * 60
LONGEST_WAIT_SECONDS = 23 * HOUR_SECONDS
"""The shortest night and day, when the clock leaves an hour out. Whenever workers come back, the
last night's message is there for them, and no other."""


class ProjectCrontab(crontab):
    """A crontab by the clock of the project, whatever time zone Celery has.

    Where a change of the clock leaves its hour out, it comes an hour later; where the hour is
    repeated, it comes once.
    """

    hour: set[int]
    minute: set[int]

    @property
    def tz(self) -> tzinfo:  # type: ignore[override]  # the stub says str
        return conf.time_zone()


def beat_schedule() -> dict[str, dict[str, Any]]:
    """Beat's entries, from DISKETTE_SCHEDULE. Raises ConfigurationError with every problem.

    Each is sent to DISKETTE_QUEUE and expires before the next of its kind, so that workers
    that were away for three nights make up for one.
    """
    wanted = {job: value for job, value in conf.schedule().items() if value is not None}
    if problems := [why for item in wanted.items() if (why := _problem(*item))]:
        raise ConfigurationError(*problems)
    return {f"diskette-{job}": _entry(job, value) for job, value in wanted.items()}


def _problem(job: str, value: str | float) -> str:
    """A project's Celery asks for it before any system check could say what is wrong."""
    if job not in JOBS:
        return f"DISKETTE_SCHEDULE names {job!r}, which is no job. There are {', '.join(JOBS)}."
    try:
        schedule_of(value)
    except ValueError as error:
        cure = "Give seconds, a crontab such as '30 3 * * *', or None for never."
        return f"DISKETTE_SCHEDULE[{job!r}]: {error}. {cure}"
    return ""


def _entry(job: str, value: str | float) -> dict[str, Any]:
    schedule = schedule_of(value)
    return {"task": JOBS[job], "schedule": schedule, "options": _options(schedule)}


def schedule_of(value: Any) -> ProjectCrontab | float:
    """Seconds as they are, `minute hour day month weekday` as a crontab.

    Raises ValueError for anything else.
    """
    if isinstance(value, str):
        return _crontab(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= conf.MOST_SECONDS:
        raise ValueError(f"{value!r:.60} is no number of seconds above 0, a year at most")
    return float(value)


def _crontab(words: str) -> ProjectCrontab:
    try:
        minute, hour, day, month, weekday = words.split()
        return ProjectCrontab(minute, hour, weekday, day, month)
    except (ParseException, ValueError) as error:
        raise ValueError(
            f"{words!r} is no crontab of minute, hour, day, month, weekday: {error}"
        ) from error


def _options(schedule: ProjectCrontab | float) -> dict[str, Any]:
    return {
        "expires": min(_shortest_wait(schedule), LONGEST_WAIT_SECONDS),
        **({"queue": queue} if (queue := conf.queue()) else {}),
    }


def _shortest_wait(schedule: ProjectCrontab | float) -> float:
    """Seconds from one message to the next, where they are closest."""
    if isinstance(schedule, float):
        return schedule
    times = sorted(hour * 60 + minute for hour in schedule.hour for minute in schedule.minute)
    times.append(times[0] + DAY_MINUTES)
    return 60 * min(later - earlier for earlier, later in pairwise(times))
