"""A part of an archive is loaded whole, and what it needs of the rest comes along."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User

from diskette.models import Run
from tests.commands.conftest import run

pytestmark = pytest.mark.django_db(transaction=True)


def load(archive, *words):
    done = run("diskette_load", str(archive), "--no-input", "--no-storages", *words)
    assert done.code == 0, done.err
    return Run.objects.filter(kind="load").first()


def added(loaded) -> dict:
    return {each.model: each.count for each in loaded.all_findings if each.code == "rows-added"}


def test_a_model_comes_with_its_pairs_and_the_rows_it_needs(project, archive):
    User.objects.all().delete()
    Group.objects.all().delete()
    loaded = load(archive, "--model", "auth.User")
    assert User.objects.get().groups.get().name == "editors"
    assert added(loaded) == {"auth.Group": 1}


def test_rows_that_are_there_stay_as_they_are(project, archive):
    Group.objects.create(name="new")
    User.objects.update(first_name="changed")
    loaded = load(archive, "--model", "auth.user")
    assert User.objects.get().first_name == ""
    assert sorted(Group.objects.values_list("name", flat=True)) == ["editors", "new"]
    assert added(loaded) == {}


def test_what_nobody_needs_is_not_added(project):
    Group.objects.create(name="needless")
    archive = run("diskette_dump").last_line
    Group.objects.all().delete()
    load(archive, "--model", "auth.User")
    assert [group.name for group in Group.objects.all()] == ["editors"]


def test_an_unknown_model_is_wrong_usage(project, archive):
    done = run("diskette_load", str(archive), "--no-input", "--model", "blog.Nothing")
    assert done.code == 2
    assert "'blog.Nothing'" in done.err


def test_a_definition_is_known_by_its_filename_too(project, settings):
    names = {"people": "auth.User", "groups": "auth.Group"}
    settings.DISKETTE_APPS = [
        [name, {"models": [label], "filename": f"the-{name}.json"}] for name, label in names.items()
    ]
    archive = run("diskette_dump").last_line
    User.objects.update(first_name="changed")
    Group.objects.update(name="changed")
    load(archive, "--exclude-data", "the-groups.json")
    assert (User.objects.get().first_name, Group.objects.get().name) == ("", "changed")
    load(archive, "--app", "the-groups.json")
    assert Group.objects.get().name == "editors"
