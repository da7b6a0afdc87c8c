from __future__ import annotations

import ast
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from diskette import registry
from diskette.management.commands.diskette_apps import python
from tests.registry.routers import EggsElsewhere

pytestmark = pytest.mark.usefixtures("project")


def diskette_apps(*arguments: str) -> tuple[str, str]:
    """Standard output and standard error."""
    out, err = StringIO(), StringIO()
    call_command("diskette_apps", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def names(text: str) -> list[str]:
    return [name for name, _ in ast.literal_eval(text)]


def test_what_is_printed_can_be_the_setting_and_says_the_same_as_none(project: Any):
    project.DISKETTE_APPS = None
    made = registry.resolve()
    project.DISKETTE_APPS = ast.literal_eval(diskette_apps()[0])
    pasted = registry.resolve()
    assert pasted.load_order == made.load_order
    assert pasted.findings == made.findings
    assert [(each.name, each.models) for each in pasted.definitions] == [
        (each.name, each.models) for each in made.definitions
    ]


def test_definitions_are_those_of_the_original_in_load_order():
    auth, kiosk, gifts = ast.literal_eval(diskette_apps()[0])
    assert auth[0] == "django.contrib.auth"
    assert list(auth[1]) == ["comments", "natural_foreign", "models"]
    assert auth[1]["comments"] == "Authentication and Authorization"
    assert auth[1]["natural_foreign"] is True
    assert auth[1]["models"] == [
        model._meta.label
        for model in registry.load_order(registry.dumpable_models())
        if model._meta.app_label == "auth"
    ]
    assert "auth.User_groups" in auth[1]["models"]
    assert (kiosk[0], gifts[0]) == ("tests.registry.kiosk", "tests.registry.gifts")
    assert gifts[1]["models"] == ["gifts.GiftOffer", "gifts.Card"]


def test_words_like_true_and_null_stay_words():
    kiosk = dict(ast.literal_eval(diskette_apps()[0]))["tests.registry.kiosk"]
    assert kiosk["comments"] == "Kiosk: \"true\" wares & null 'prices'"


def test_json_is_json_and_nothing_else():
    out, err = diskette_apps("--format", "json")
    assert json.loads(out) == ast.literal_eval(diskette_apps()[0])
    assert err == ""


def test_applications_are_chosen_by_label_or_python_path():
    assert names(diskette_apps("--app", "auth")[0]) == ["django.contrib.auth"]
    chosen = diskette_apps("--app", "gifts", "--app", "django.contrib.auth")[0]
    assert names(chosen) == ["django.contrib.auth", "tests.registry.gifts"]


def test_exclude_wins_over_app():
    assert names(diskette_apps("--exclude", "auth")[0]) == [
        "tests.registry.kiosk",
        "tests.registry.gifts",
    ]
    assert names(diskette_apps("--app", "auth", "--app", "gifts", "--exclude", "auth")[0]) == [
        "tests.registry.gifts"
    ]


@pytest.mark.parametrize("label", ["staticfiles", "diskette", "contenttypes"])
def test_an_application_without_rows_to_dump_has_no_definition(label):
    assert diskette_apps("--app", label)[0] == "[]\n"


@pytest.mark.parametrize("option", ["--app", "--exclude"])
def test_an_unknown_application_is_a_usage_error(option):
    with pytest.raises(CommandError, match=r"'aut' is installed. Did you mean 'auth'\?") as caught:
        diskette_apps(option, "aut")
    assert caught.value.returncode == 2


def test_another_database_is_said(project: Any):
    project.DATABASE_ROUTERS = [EggsElsewhere()]
    printed = dict(ast.literal_eval(diskette_apps("--app", "kiosk")[0]))
    assert printed["tests.registry.kiosk@postgresql"]["database"] == "postgresql"
    assert "database" not in printed["tests.registry.kiosk@default"]


def test_a_file_can_be_written_instead(tmp_path):
    destination = tmp_path / "definitions.py"
    out, err = diskette_apps("--destination", str(destination))
    assert out == ""
    assert err == f"Written to {destination}.\n"
    assert destination.read_text(encoding="utf-8") == diskette_apps()[0]


def test_a_file_that_cannot_be_written_is_a_usage_error(tmp_path):
    with pytest.raises(CommandError, match="No such file or directory") as caught:
        diskette_apps("--destination", str(tmp_path / "missing" / "definitions.py"))
    assert caught.value.returncode == 2


def test_definitions_that_are_wrong_do_not_hinder_it(project: Any):
    project.DISKETTE_APPS = [["auth", {"models": "auth.user"}]]
    assert names(diskette_apps()[0])[0] == "django.contrib.auth"


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        [[]],
        True,
        None,
        1,
        "",
        'it\'s "quoted"',
        "back\\slash\nline\ttab\x7f",
        "äöü 日本 🎉",
        {"a": [1, {"b": None}], "": [""]},
    ],
)
def test_values_are_written_as_python(value):
    assert ast.literal_eval(python(value)) == value
