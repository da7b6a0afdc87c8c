"""Messages carry no authority: what they may ask for is little, and forged ones do nothing."""

from __future__ import annotations

import pytest

from diskette import tasks
from diskette.models import Run
from tests.commands.conftest import archive, project

__all__ = ["archive", "project"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_broker(monkeypatch):
    """Steps wait in their rows; what a message begins can be seen there."""
    monkeypatch.setattr("diskette.messages.send", lambda steps: None)


def test_a_message_begins_a_dump_and_returns_its_id(project, no_broker):
    run_id = tasks.dump(storages=False)
    made = Run.objects.get(pk=run_id)
    assert made.state == "running"
    assert not made.inline
    assert made.steps.filter(name="dump_application").exists()


def test_a_message_while_another_run_is_active_is_recorded_as_skipped(project, no_broker):
    first = tasks.dump()
    second = tasks.dump()
    assert Run.objects.get(pk=first).state == "running"
    assert Run.objects.get(pk=second).state == "skipped"


@pytest.mark.parametrize("option", ["destination", "filename", "label", "enqueue"])
def test_a_message_cannot_say_where_an_archive_goes_nor_whose_it_is(project, no_broker, option):
    with pytest.raises(TypeError):
        tasks.dump(**{option: "/tmp/elsewhere"})
    assert not Run.objects.exists()


def test_a_message_to_load_is_refused_unless_that_is_allowed(project, archive, no_broker, caplog):
    assert tasks.load(archive.name) is None
    assert "DISKETTE_LOAD_ENABLED" in caplog.text
    assert not Run.objects.filter(kind="load").exists()


@pytest.mark.parametrize("word", ["/etc/passwd", "http://example.com/x.tar", "../x.tar"])
def test_a_message_never_loads_a_path_or_url(project, settings, no_broker, word):
    settings.DISKETTE_LOAD_ENABLED = True
    assert tasks.load(word) is None
    assert not Run.objects.exists()


def test_where_it_is_allowed_a_message_loads_an_archive_by_its_name(
    project, archive, settings, no_broker
):
    settings.DISKETTE_LOAD_ENABLED = True
    made = Run.objects.get(pk=tasks.load(archive.name))
    assert made.kind == "load"
    assert made.options["archive"] == str(archive)
    assert made.options["safety"] is False  # as this project's settings say


@pytest.mark.parametrize("word", ["'; DROP TABLE", None, 7, ["x"]])
def test_a_message_that_names_no_step_does_nothing_but_a_log_line(project, caplog, word):
    tasks.STEP_TASKS["apply"](word)
    assert "names no step" in caplog.text
    assert not Run.objects.exists()
