"""An archive of one environment is loaded into another only by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User

import diskette
from tests.commands.conftest import run


@pytest.fixture
def staged(project, settings) -> Path:
    """An archive of staging; this is production, and has changed since."""
    settings.DISKETTE_ENVIRONMENT = "staging"
    archive = Path(run("diskette_dump").last_line)
    settings.DISKETTE_ENVIRONMENT = "production"
    User.objects.update(first_name="changed")
    return archive


def is_loaded() -> bool:
    return User.objects.get().first_name == ""


def test_the_environment_stands_in_the_manifest(staged):
    assert json.loads(run("diskette_inspect", str(staged), format="json").out)["environment"] == (
        "staging"
    )
    assert " UTC, staging" in run("diskette_inspect", str(staged)).out


@pytest.mark.parametrize("words", [(), ("--into", "staging"), ("--into", "Production")])
def test_an_archive_of_another_environment_is_refused(project, staged, words):
    done = run("diskette_load", str(staged), "--no-input", *words)
    assert done.code == 1
    assert f"{staged.name} was made in 'staging', and this is 'production'." in done.err
    assert "--into production" in done.err
    assert not is_loaded()
    assert project.left_over() == []


def test_its_name_said_lets_it_in(staged):
    assert run("diskette_load", str(staged), "--no-input", "--into", "production").code == 0
    assert is_loaded()


def test_code_says_it_likewise(staged):
    assert diskette.load(staged.name).findings[0].code == "other-environment"
    assert not is_loaded()
    assert diskette.load(staged.name, into="production").state == "succeeded"
    assert is_loaded()


def test_a_check_tells_of_it_with_all_else(staged):
    done = run("diskette_load", str(staged), "--check", "--format", "json")
    assert done.code == 4
    told = json.loads(done.out)
    assert told["state"] == "succeeded"
    assert [each["code"] for each in told["findings"]] == ["other-environment"]
    assert run("diskette_load", str(staged), "--check", "--into", "production").code == 0


@pytest.mark.parametrize(("typed", "code"), [("yes", 1), ("staging", 1), (" production", 0)])
def test_a_person_is_asked_to_type_the_name(staged, monkeypatch, typed, code):
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or typed)
    done = run("diskette_load", str(staged))
    assert done.code == code, done.err
    assert asked == ["Type production to go on: "]
    assert "which is 'production'; the archive was made in 'staging'." in done.err
    assert is_loaded() is (code == 0)


@pytest.mark.parametrize(("there", "here"), [(None, "production"), ("staging", None), (None, None)])
def test_nothing_is_compared_where_either_has_no_name(project, settings, there, here):
    settings.DISKETTE_ENVIRONMENT = there
    archive = run("diskette_dump").last_line
    settings.DISKETTE_ENVIRONMENT = here
    assert run("diskette_load", archive, "--no-input").code == 0


def test_a_drill_writes_nothing_live_and_asks_for_no_name(staged):
    done = run("diskette_verify", "--drill", staged.name)
    assert done.code == 0, done.err
