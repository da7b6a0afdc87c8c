"""Beat's entries, by the project's clock, also in the nights that change it."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab

import diskette
from diskette.core.exceptions import ConfigurationError
from diskette.schedule import ProjectCrontab, schedule_of

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 60 * 60
OPTIONS = {"expires": 23 * HOUR}


def firings(words: str, *, begin: datetime, days: int) -> list[str]:
    schedule = schedule_of(words)
    assert isinstance(schedule, ProjectCrontab)
    return firings_of(schedule, begin=begin, days=days)


def firings_of(schedule: crontab, *, begin: datetime, days: int) -> list[str]:
    sent = sendings(schedule, begin=begin, days=days)
    return [f"{each.astimezone(BERLIN):%d %H:%M %Z}" for each in sent]


def sendings(schedule: crontab, *, begin: datetime, days: int) -> list[datetime]:
    """When beat would send, its own clock read once a minute."""
    now = [begin]
    schedule.nowfun = lambda: now[0]
    last, sent = begin, []
    while now[0] < begin + timedelta(days=days):
        if schedule.is_due(last).is_due:
            last = now[0]
            sent.append(last)
        now[0] += timedelta(minutes=1)
    return sent


def test_without_a_word_it_sweeps_each_minute_and_dumps_each_night():
    assert diskette.beat_schedule() == {
        "diskette-sweep": {
            "task": "diskette.sweep",
            "schedule": 60.0,
            "options": {"expires": 60.0},
        },
        "diskette-dump": {
            "task": "diskette.dump",
            "schedule": ProjectCrontab("30", "3"),
            "options": OPTIONS,
        },
        "diskette-health": {
            "task": "diskette.health",
            "schedule": ProjectCrontab("10"),
            "options": {"expires": HOUR},
        },
    }


def test_a_setting_changes_one_entry_and_switches_another_off(settings):
    settings.DISKETTE_SCHEDULE = {"dump": "15 */2 * * mon-fri", "sweep": None, "health": None}
    settings.DISKETTE_QUEUE = "backups"
    (entry,) = diskette.beat_schedule().values()
    assert entry["schedule"] == ProjectCrontab("15", "*/2", "mon-fri")
    assert entry["options"] == {"expires": 2 * HOUR, "queue": "backups"}


def test_what_comes_by_the_hour_expires_within_it(settings):
    settings.DISKETTE_SCHEDULE = {"dump": "5,50 * * * *"}
    assert diskette.beat_schedule()["diskette-dump"]["options"]["expires"] == 15 * 60


@pytest.mark.parametrize(
    ("words", "spring", "autumn"),
    [
        ("30 2 * * *", "29 03:30 CEST", "25 02:30 CEST"),
        ("30 3 * * *", "29 03:30 CEST", "25 03:30 CET"),
    ],
)
def test_a_night_that_changes_the_clock_has_one_dump(settings, words, spring, autumn):
    settings.TIME_ZONE = "Europe/Berlin"
    night = words.split()[1].zfill(2)
    assert firings(words, begin=datetime(2026, 3, 27, 12, tzinfo=UTC), days=3) == [
        f"28 {night}:30 CET",
        spring,
        f"30 {night}:30 CEST",
    ]
    assert firings(words, begin=datetime(2026, 10, 23, 12, tzinfo=UTC), days=3) == [
        f"24 {night}:30 CEST",
        autumn,
        f"26 {night}:30 CET",
    ]


def test_a_beat_that_was_away_for_three_nights_sends_one_dump(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    schedule = schedule_of("30 3 * * *")
    assert isinstance(schedule, ProjectCrontab)
    back = datetime(2026, 11, 5, 9, tzinfo=UTC)
    schedule.nowfun = lambda: back
    assert schedule.is_due(back - timedelta(days=3, hours=8)).is_due
    assert not schedule.is_due(back).is_due


@pytest.mark.parametrize(
    "begin", [datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 10, 23, 12, tzinfo=UTC)]
)
def test_workers_that_were_away_for_nights_find_one_dump_whenever_they_are_back(settings, begin):
    """At any time but shortly before the next is sent; also where the clock changes."""
    settings.TIME_ZONE = "Europe/Berlin"
    entry = diskette.beat_schedule()["diskette-dump"]
    valid = timedelta(seconds=entry["options"]["expires"])
    sent = sendings(entry["schedule"], begin=begin, days=4)
    for night, following in pairwise(sent):
        for minutes in range(0, (following - night) // timedelta(minutes=1), 10):
            back = night + timedelta(minutes=minutes)
            waiting = [each for each in sent if each <= back < each + valid]
            assert waiting == [night] or following - back <= timedelta(hours=2)
            assert len(waiting) < 2


def test_beat_can_keep_a_schedule_in_its_file():
    schedule = schedule_of("30 3 * * *")
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize("value", ["nightly", "30 3", "30 25 * * *", "* * * *", 0, -1, True])
def test_what_is_no_schedule_is_refused_by_name(value):
    with pytest.raises(ValueError, match="is no "):
        schedule_of(value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"dmp": 60}, "names 'dmp', which is no job. There are sweep, dump, "),
        ({"dump": "nightly"}, r"\['dump'\]: 'nightly' is no crontab .* None for never"),
        ({"sweep": [60]}, r"\['sweep'\]: \[60\] is no number of seconds above 0"),
        ({"dmp": 1, "sweep": 0}, r"\['sweep'\]: 0 is no number(.|\n)* names 'dmp'"),
        (None, r"must be a dict of jobs, not None\. Write it as .* or remove it"),
        ([["dump", 60]], "must be a dict of jobs, not "),
    ],
)
def test_what_beat_cannot_be_told_is_named_with_the_setting(settings, said, told):
    """No system check says it, where Celery asks before Django is ready."""
    settings.DISKETTE_SCHEDULE = said
    with pytest.raises(ConfigurationError, match=f"DISKETTE_SCHEDULE.*{told}"):
        diskette.beat_schedule()
