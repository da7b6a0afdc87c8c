"""The jobs as rows of django-celery-beat, as its own scheduler reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from celery import Celery
from django.db import connection
from django.utils import timezone

from tests.commands.conftest import run
from tests.test_schedule import firings_of

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = (datetime.now(UTC).hour + 8) % 24
"""Far from now: the scheduler leaves out rows whose hour is so, and a plain number."""
ALL = ("sweep", "dump", "health", "prune")


@pytest.fixture
def beat(settings) -> Iterator[ModuleType]:
    """django-celery-beat with its tables; yields its module of schedulers."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_celery_beat"]
    settings.DISKETTE_SCHEDULE = {"dump": f"30 {HOUR} * * *", "prune": 0.5}
    settings.DISKETTE_QUEUE = "backups"
    from django.apps import apps

    models = list(apps.get_app_config("django_celery_beat").get_models())
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    from django_celery_beat import schedulers

    yield schedulers
    with connection.schema_editor() as editor:
        for model in reversed(models):
            editor.delete_model(model)


def installed(*words: str) -> dict[str, str]:
    done = run("diskette_schedule", *words, format="json")
    assert done.code == 0, done.err
    entries = json.loads(done.out)["entries"]
    return {each["name"].removeprefix("diskette-"): each["state"] for each in entries}


def entries(beat: ModuleType) -> dict:
    """What its scheduler reads when it starts."""
    return beat.DatabaseScheduler(app=Celery("beat", set_as_current=False), lazy=True).schedule


def test_rows_follow_the_setting_and_what_is_switched_off_stays_off(beat, settings):
    assert installed("--dry-run") == dict.fromkeys(ALL, "installed")
    assert entries(beat) == {}
    assert installed() == dict.fromkeys(ALL, "installed")
    assert installed() == dict.fromkeys(ALL, "kept")
    beat.PeriodicTask.objects.filter(name="diskette-prune").update(enabled=False)
    settings.DISKETTE_SCHEDULE |= {"health": None, "sweep": 30}
    changes = {"sweep": "changed", "dump": "kept", "health": "removed", "prune": "off"}
    assert installed() == changes
    assert set(entries(beat)) == {"diskette-sweep", "diskette-dump"}
    assert run("diskette_schedule").out.splitlines()[0] == "kept      diskette-sweep  30"


def test_its_scheduler_sends_what_plain_beat_sends(beat):
    installed()
    sent = {
        name: (entry.task, entry.options["queue"], entry.model.expire_seconds)
        for name, entry in entries(beat).items()
    }
    assert sent == {
        "diskette-sweep": ("diskette.sweep", "backups", 60),
        "diskette-dump": ("diskette.dump", "backups", 82800),
        "diskette-health": ("diskette.health", "backups", 3600),
        "diskette-prune": ("diskette.prune", "backups", 1),
    }
    assert entries(beat)["diskette-prune"].schedule.run_every == timedelta(seconds=0.5)


def test_nights_that_were_missed_are_made_up_for_at_once_and_once(beat):
    installed()
    away = timezone.now() - timedelta(days=3, hours=2)
    beat.PeriodicTask.objects.filter(name="diskette-dump").update(last_run_at=away)
    entry = entries(beat)["diskette-dump"]
    assert entry.is_due().is_due
    assert not next(entry).is_due().is_due


def test_a_night_that_changes_the_clock_has_one_dump(beat, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    settings.DISKETTE_SCHEDULE = {"dump": "30 2 * * *", "sweep": None, "health": None}
    installed()
    schedule = beat.PeriodicTask.objects.get(name="diskette-dump").schedule
    spring = firings_of(schedule, begin=datetime(2026, 3, 27, 12, tzinfo=UTC), days=3)
    assert spring == ["28 02:30 CET", "29 03:30 CEST", "30 02:30 CEST"]
    autumn = firings_of(schedule, begin=datetime(2026, 10, 23, 12, tzinfo=UTC), days=3)
    assert autumn == ["24 02:30 CEST", "25 02:30 CEST", "26 02:30 CET"]


def test_its_rows_go_when_that_is_asked_for_and_others_stay(beat):
    every = beat.IntervalSchedule.objects.create(every=1, period="days")
    beat.PeriodicTask.objects.create(name="diskette-of-ours", task="shop.tidy", interval=every)
    installed()
    assert installed("--remove") == dict.fromkeys(ALL, "removed")
    assert installed("--remove") == {}
    assert set(entries(beat)) == {"diskette-of-ours"}


def test_rows_of_an_administrators_own_are_named_and_left_alone(beat):
    installed()
    beat.PeriodicTask.objects.filter(name="diskette-dump").update(name="Every night")
    noon = beat.CrontabSchedule.objects.create(minute="0", hour="12-12")
    beat.PeriodicTask.objects.create(name="diskette-noon", task="diskette.dump", crontab=noon)
    other = {"Every night": "other", "noon": "other"}
    assert installed() == dict.fromkeys(ALL, "kept") | {"dump": "installed"} | other
    assert "other     Every night  sends diskette.dump\n" in run("diskette_schedule").out
    assert installed("--remove") == dict.fromkeys(ALL, "removed") | other
    assert set(entries(beat)) == {"Every night", "diskette-noon"}


def test_a_row_that_was_given_a_schedule_of_another_kind_gets_its_own_again(beat):
    installed()
    sunset = beat.SolarSchedule.objects.create(event="sunset", latitude=52.5, longitude=13.4)
    dumps = beat.PeriodicTask.objects.filter(name="diskette-dump")
    dumps.update(crontab=None, solar=sunset)
    assert installed()["dump"] == "changed"
    dumps.get().validate_unique()
    assert dumps.get().solar is None


def test_without_django_celery_beat_the_command_says_so(db):
    done = run("diskette_schedule")
    assert done.code == 2
    assert "django-celery-beat is not installed" in done.err
