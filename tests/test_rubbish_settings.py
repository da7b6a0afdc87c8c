"""Settings of any wrong kind are told kindly, wherever somebody looks first."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core import checks as django_checks

import diskette
from diskette import checks, conf, deployment, health
from diskette.core.exceptions import ConfigurationError
from tests.commands.conftest import run

INFINITE = float("inf")
RUBBISH: tuple[Any, ...] = (
    *(None, 0, -1, 1.5, 10**30, INFINITE, float("nan"), True),
    *("", " ", "rubbish", "\0", b"bytes", object, Path("nowhere"), Path("/\0")),
    *([], [None], [[]], [["a", None]], [["a", {"models": [[1]]}]], (1, {}), {1, 2}),
    *({}, {"a": 1}, {1: [2]}, {None: None}, {"dump": {"a": [{}]}}, {"daily": {"x": []}}),
    *({"last": "3"}, {"failures": []}, {"health": {"start": 7}}, {"safety": 5}, {"within": []}),
    *({"sweep": INFINITE}, {"dump": 10**30}, {"run_hours": INFINITE}, {"run_hours": 1e12}),
)
READERS = (
    *(
        conf.applications,
        conf.archive_mode,
        conf.destination,
        conf.drill_check,
        conf.filename_pattern,
    ),
    *(conf.health, conf.history, conf.label, conf.lease, conf.load_expires, conf.minimal_filesize),
    *(conf.notify_mail, conf.notify_pings, conf.notify_timeout, conf.notify_urls, conf.retention),
    *(conf.schedule, conf.storages, conf.storages_base, conf.storages_excludes, conf.verify_sample),
    *(
        conf.workspace_root,
        lambda: conf.now() - conf.lease(),
        lambda: conf.now() + conf.load_expires(),
    ),
    *(lambda: conf.destination().is_dir(), diskette.beat_schedule),
)
PLAIN: tuple[Any, ...] = (None, 7, "rubbish", [[1]], {"a": {"b": [1]}})

pytestmark = pytest.mark.django_db(transaction=True)


def errors() -> list[str]:
    messages = [*checks.check_settings(), *checks.check_definitions()]
    return [str(each.msg) for each in messages if each.level >= django_checks.ERROR]


@pytest.mark.parametrize("value", RUBBISH, ids=repr)
@pytest.mark.parametrize("name", conf.DEFAULTS)
def test_what_no_check_refuses_can_be_read(settings, name, value):
    setattr(settings, name, value)
    for each in (checks.check_telling, deployment.check_celery, deployment.check_destination):
        assert isinstance(each(), list)
    if errors():
        with suppress(ConfigurationError):
            diskette.beat_schedule()
        return
    for read in READERS:
        read()
    if name == "DISKETTE_HEALTH":
        health.examine()


@pytest.mark.parametrize("value", PLAIN, ids=repr)
@pytest.mark.parametrize("name", conf.DEFAULTS)
def test_the_doctor_tells_what_the_checks_refuse(settings, name, value):
    setattr(settings, name, value)
    told = errors()
    done = run("diskette_check")
    assert done.code == (4 if told else 0)
    assert all(each in done.out for each in told)
