"""What `manage.py check --deploy` says of Celery's settings and of where archives are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from kombu import Queue

import diskette
from diskette import deployment, messages
from tests.filesystems import mounted
from worker import config


@pytest.fixture
def app(settings, monkeypatch) -> Any:
    """An application of Celery that is as docs/deployment.md says."""
    settings.DISKETTE_QUEUE, settings.DISKETTE_LOAD_QUEUE = config.DUMP_QUEUE, config.LOAD_QUEUE
    app = Celery("shop", set_as_current=False)
    app.config_from_object(config)
    app.conf.beat_schedule = diskette.beat_schedule()
    for module in (deployment, messages):
        monkeypatch.setattr(module, "current_app", app)
    return app


def ids() -> list[str]:
    return [str(each.id).removeprefix("diskette.") for each in deployment.check_celery()]


def test_what_the_docs_say_is_fine(app):
    assert ids() == []


@pytest.mark.parametrize(
    ("id_", "settings_of_celery"),
    [
        ("W070", {"task_always_eager": True}),
        ("W071", {"task_acks_late": True}),
        ("W071", {"task_reject_on_worker_lost": True}),
        ("W071", {"task_annotations": {"*": {"acks_late": True}}}),
        ("W072", {"broker_transport_options": {}}),
        ("W072", {"broker_url": ["redis://one", "redis://two"], "broker_transport_options": {}}),
        ("W072", {"broker_read_url": "redis://one", "broker_transport_options": {}}),
        ("W072", {"broker_transport_options": {"visibility_timeout": 14_400}}),
        ("W072", {"broker_transport_options": {"visibility_timeout": "14400"}}),
        ("W072", {"broker_transport_options": {"visibility_timeout": None}}),
        ("W073", {"result_expires": timedelta(days=1)}),
        ("W073", {"result_expires": 364 * 86_400}),
        ("W074", {"beat_schedule": {}}),
        ("W077", {"beat_scheduler": "django_celery_beat.schedulers:DatabaseScheduler"}),
        ("W076", {"task_queues": [Queue("diskette"), Queue("diskette-load")]}),
        ("W076", {"task_default_queue": "diskette-load"}),
    ],
)
def test_what_will_hurt_is_a_warning_that_says_how_to_cure_it(app, id_, settings_of_celery):
    app.conf.update(settings_of_celery)
    (doubt,) = deployment.check_celery()
    assert doubt.id == f"diskette.{id_}"
    assert doubt.hint


@pytest.mark.parametrize(
    "settings_of_celery",
    [
        {"broker_url": "amqp://localhost", "broker_transport_options": {}},
        {"task_time_limit": 1800, "broker_transport_options": {"visibility_timeout": 3600}},
        {"result_backend": "redis://", "result_expires": 60},
        {"result_expires": 365 * 86_400},
        {"beat_schedule": {}, "beat_scheduler": "django_celery_beat.schedulers:DatabaseScheduler"},
        {"task_queues": [Queue("diskette")]},
    ],
)
def test_what_does_no_harm_is_not_told(app, settings_of_celery):
    app.conf.update(settings_of_celery)
    assert ids() == []


def test_beat_need_not_send_what_is_never_to_be_sent(app, settings):
    settings.DISKETTE_SCHEDULE = {"dump": None}
    app.conf.beat_schedule = diskette.beat_schedule()
    assert ids() == []
    settings.DISKETTE_SCHEDULE = {}
    (doubt,) = deployment.check_celery()
    assert doubt.msg == "Beat does not send diskette.dump."


@pytest.mark.parametrize("queue", [None, "diskette"])
def test_loads_in_the_queue_of_dumps_are_a_warning(app, settings, queue):
    settings.DISKETTE_LOAD_QUEUE = queue
    assert ids() == ["W076"]


def test_a_history_for_ever_needs_results_for_ever(app, settings):
    settings.DISKETTE_HISTORY = None
    app.conf.result_expires = 10**10
    assert ids() == ["W073"]


def test_a_project_without_celery_is_not_asked(monkeypatch):
    for module in (deployment, messages):
        monkeypatch.setattr(module, "current_app", Celery("default", set_as_current=False))
    assert ids() == []


def test_archives_beside_what_they_are_of_are_a_warning(settings, tmp_path):
    settings.DISKETTE_STORAGES = [tmp_path / "media"]
    settings.DISKETTE_DUMP_PATH = tmp_path / "archives"
    (doubt,) = deployment.check_destination()
    assert doubt.id == "diskette.W075"
    assert f"on the same disk as {tmp_path / 'media'}" in doubt.msg
    with mounted(tmp_path / "disk") as settings.DISKETTE_DUMP_PATH:
        assert deployment.check_destination() == []


def test_settings_that_are_wrong_are_told_by_their_own_check(settings, app):
    settings.DISKETTE_STORAGES = "/srv/media"
    assert deployment.check_destination() == []
    assert ids() == []


def test_django_asks_only_of_a_deployment(settings, app):
    settings.DISKETTE_DUMP_PATH = Path("/")
    settings.DISKETTE_STORAGES = ()
    call_command("check", "--tag", "diskette", "--fail-level", "WARNING")
    with pytest.raises(SystemCheckError, match=r"diskette\.W075"):
        call_command("check", "--tag", "diskette", "--deploy", "--fail-level", "WARNING")
