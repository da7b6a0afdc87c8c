"""Install what DISKETTE_SCHEDULE says as rows of django-celery-beat."""

from __future__ import annotations

import math
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from diskette import conf, schedule
from diskette.core.exceptions import UsageError
from diskette.core.report import JSON
from diskette.management.base import DisketteCommand

PREFIX = "diskette-"
KINDS: dict[str, Any] = dict.fromkeys(("crontab", "interval", "solar", "clocked"))


class Command(DisketteCommand):
    """What an administrator switched off stays off; when a job is sent, the setting says.

    Rows by other names that send a job as well are theirs: they are named, and left alone.
    """

    help = (
        "Install the jobs of DISKETTE_SCHEDULE as rows of django-celery-beat, for its "
        "DatabaseScheduler. Run it again after a change; plain beat needs none of it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether to do it."""
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would change")
        parser.add_argument("--remove", action="store_true", help="remove all of its rows")

    def handle(self, *_: Any, **options: Any) -> None:
        """Bring the rows in line with the setting; say of each what became of it."""
        if not conf.installed("django_celery_beat"):
            raise UsageError(
                "django-celery-beat is not installed: add it to INSTALLED_APPS, or start plain "
                "beat with app.conf.beat_schedule = diskette.beat_schedule()."
            )
        wanted = {} if options["remove"] else schedule.beat_schedule()
        done = _installed(wanted, dry_run=options["dry_run"])
        if options["format"] == "json":
            self.print_json({"entries": done})
            return
        for each in done:
            self.stdout.write(f"{each['state']:<9} {each['name']}  {each['schedule']}".rstrip())


def _installed(wanted: Mapping[str, Mapping[str, Any]], *, dry_run: bool) -> list[JSON]:
    from django_celery_beat.models import PeriodicTask

    ours = [f"{PREFIX}{job}" for job in schedule.JOBS]
    of_jobs = PeriodicTask.objects.filter(task__in=schedule.JOBS.values())
    rows = of_jobs.filter(name__in=ours)
    with transaction.atomic(using=rows.db):
        done = [_put(name, entry) for name, entry in wanted.items()]
        for row in rows.exclude(name__in=list(wanted)):
            done.append({"name": row.name, "state": "removed", "schedule": ""})
            row.delete()
        done += [
            {"name": row.name, "state": "other", "schedule": f"sends {row.task}"}
            for row in of_jobs.filter(enabled=True).exclude(name__in=ours)
        ]
        if dry_run:
            transaction.set_rollback(True, using=rows.db)
    return done


def _put(name: str, entry: Mapping[str, Any]) -> JSON:
    """Written only where it differs: beat reads everything anew after each writing."""
    from django_celery_beat.models import PeriodicTask

    said = conf.schedule()[name.removeprefix(PREFIX)]
    values = _when(said) | {
        "task": entry["task"],
        "queue": entry["options"].get("queue"),
        # `expires` of an entry would be an instant here, and is dropped.
        "expire_seconds": math.ceil(entry["options"]["expires"]),
    }
    row = PeriodicTask.objects.filter(name=name).first()
    if row is None:
        PeriodicTask.objects.create(name=name, **values)
        state = "installed"
    elif any(getattr(row, field) != value for field, value in values.items()):
        for field, value in values.items():
            setattr(row, field, value)
        row.save()
        state = "changed"
    else:
        state = "kept" if row.enabled else "off"
    return {"name": name, "state": state, "schedule": str(said)}


def _when(said: str | float | None) -> dict[str, Any]:
    """The row's schedule: of one kind, the others None."""
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule

    if isinstance(said, str):
        return KINDS | {"crontab": _row_of(CrontabSchedule, _crontab(said))}
    seconds = float(said or 0)
    every, period = (
        (seconds, "seconds") if seconds.is_integer() else (seconds * 1e6, "microseconds")
    )
    interval = _row_of(IntervalSchedule, {"every": round(every), "period": period})
    return KINDS | {"interval": interval}


def _crontab(words: str) -> dict[str, Any]:
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    fields: dict[str, Any] = dict(zip(names, words.split(), strict=True))
    if fields["hour"].isdecimal():
        # The scheduler leaves out rows whose hour is a plain number until two hours before it. What
        # beat missed while it was down would be made up for then, and done again in its hour.
        fields["hour"] = f"{int(fields['hour'])}-{int(fields['hour'])}"
    return fields | {"timezone": conf.time_zone()}


def _row_of(model: Any, fields: Mapping[str, Any]) -> Any:
    """Schedules are shared by tasks, and may be there twice."""
    return model.objects.filter(**fields).first() or model.objects.create(**fields)
