from __future__ import annotations

import pytest

from diskette import registry
from tests.registry.routers import EggsElsewhere


def test_without_settings_every_application_is_defined_in_load_order(project):
    project.DISKETTE_APPS = None
    resolution = registry.resolve()
    assert [each.name for each in resolution.definitions] == [
        "django.contrib.auth",
        "tests.registry.kiosk",
        "tests.registry.gifts",
    ]
    assert set(resolution.load_order) == set(registry.dumpable_models())
    assert not [each for each in resolution.findings if each.code in {"order", "never-dumped"}]


def test_without_settings_what_is_left_out_is_named(project):
    project.DISKETTE_APPS = None
    (finding,) = [each for each in registry.resolve().findings if each.code == "left-out"]
    assert "kiosk.CheapWare" in finding.message
    assert "kiosk.Legacy" in finding.message
    assert "Legacy_tags" not in finding.message


def test_a_definition_is_commented_with_the_applications_own_words(project):
    auth, *_ = registry.made_from_installed()
    assert auth.comments == "Authentication and Authorization"
    assert auth.filename == "djangocontribauth.json"
    assert auth.natural_foreign is False


def test_rows_are_taken_from_the_database_that_the_router_writes_them_to(project):
    project.DATABASE_ROUTERS = [EggsElsewhere()]
    made = {each.name: each for each in registry.made_from_installed()}
    assert set(made) == {
        "django.contrib.auth",
        "tests.registry.kiosk@default",
        "tests.registry.kiosk@postgresql",
    }
    eggs = made["tests.registry.kiosk@postgresql"]
    assert (eggs.database, eggs.models) == ("postgresql", ("kiosk.Egg",))
    resolution = registry.resolve()
    (left_out,) = [each for each in resolution.findings if each.code == "left-out"]
    assert "gifts.Card (the router keeps it out of database 'default')" in left_out.message


def test_a_model_that_the_router_keeps_elsewhere_is_refused_with_its_database(project, refuse):
    project.DATABASE_ROUTERS = [EggsElsewhere()]
    problems = refuse(
        ["kiosk", {"models": ["kiosk.Egg", "kiosk.Hen", "kiosk.CheapWare"]}],
        ["gifts", {"models": ["gifts.Card"]}],
    )
    out = "out of database 'default'."
    cure = "Give it a definition with 'database': 'postgresql'."
    assert problems == [
        f"Definition 'kiosk': the router keeps kiosk.Egg {out} {cure}",
        f"Definition 'gifts': the router keeps gifts.Card {out} Exclude it.",
    ]


def test_a_definition_may_take_a_table_that_only_its_database_has(resolve):
    (vault,) = resolve(["v", {"models": "kiosk.Vault", "database": "postgresql"}]).definitions
    assert [model.__name__ for model in vault.models] == ["Vault"]


@pytest.mark.usefixtures("project")
def test_made_definitions_are_the_same_each_time():
    assert registry.made_from_installed() == registry.made_from_installed()
