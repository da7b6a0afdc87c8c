"""The files that deploy the service say the same."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path

import pytest
import yaml
from celery.app.defaults import NAMESPACES, flatten

from worker import config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def procfile():
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: shlex.split(command) for name, command in (x.split(":", 1) for x in lines)}


def test_compose_has_all_that_the_procfile_has(services, procfile):
    assert set(services) == {*procfile, "redis", "postgres", "migrate"}
    for name in ("worker", "load", "beat"):
        assert services[name]["command"] == procfile[name]


def test_everything_that_stays_up_tells_its_health(services):
    assert [name for name, service in services.items() if "healthcheck" not in service] == [
        "migrate"
    ]


def test_the_broker_forgets_nothing(services):
    assert services["redis"]["command"] == [
        *("redis-server", "--appendonly", "yes"),
        *("--maxmemory-policy", "noeviction"),
    ]


def test_every_queue_has_a_worker(procfile):
    listening = {q for words in procfile.values() if "-Q" in words for q in queues(words)}
    assert listening == {"celery", config.DUMP_QUEUE, config.LOAD_QUEUE}


def queues(words):
    return words[words.index("-Q") + 1].split(",")


def test_every_setting_of_celery_is_one_that_celery_knows():
    known = {name for name, _option in flatten(NAMESPACES)}
    written = {name for name in vars(config) if name.islower() and not name.startswith("__")}
    modules = {"annotations", "os", "schedule"}
    # Kombu reads the last from the application's own settings.
    assert written - modules - known == {"visibility_timeout"}


def test_a_message_is_delivered_again_later_than_any_step_may_take():
    assert config.visibility_timeout > config.task_time_limit
    assert config.broker_transport_options["visibility_timeout"] == config.visibility_timeout


@pytest.mark.parametrize("module", ["worker.wsgi", "worker.urls", "worker.celery"])
def test_every_door_of_the_service_opens(module):
    importlib.import_module(module)
