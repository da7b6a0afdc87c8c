"""What a load would refuse is found where the rows are, on every engine."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections

from diskette.core.report import Severity
from diskette.data import probing, soundness
from diskette.data.soundness import Table
from tests.library import models as library


def table(model, using, **more) -> Table:
    return Table(model=model, using=using, database=using, **more)


@contextmanager
def unchecked(using):
    """Rows as they come about where checks were off; PostgreSQL lets only its owner do so."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        with connection.constraint_checks_disabled():
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        yield
        cursor.execute("SET session_replication_role = DEFAULT")


@pytest.fixture
def legacy(using):
    """What an application left that was removed long ago."""
    kind = ContentType.objects.using(using).create(app_label="legacy", model="poll")
    right = Permission.objects.using(using).create(content_type=kind, codename="add_poll", name="x")
    yield kind, right
    Permission.objects.using(using).filter(pk=right.pk).delete()
    kind.delete()


def test_rows_that_refer_to_nothing_are_told_with_their_keys(using):
    there = library.Country.objects.using(using).create(name="x")
    with unchecked(using):
        library.City.objects.using(using).create(pk=1, name="c", country=there)
        for pk in range(2, 25):
            library.City.objects.using(using).create(pk=pk, name="c", country_id=4000 + pk % 12)

    dumped = {model: table(model, using) for model in (library.City, library.Country)}
    (finding,) = soundness.dangling(dumped[library.City], dumped)

    assert finding.message.startswith("Integrity error: ForeignKey missing: library.City.country")
    assert finding.severity is Severity.ERROR
    assert (finding.model, finding.field, finding.target) == (
        "library.City",
        "country",
        "library.Country",
    )
    assert finding.keys == tuple(range(4000, 4010))
    assert finding.objects == tuple(range(2, 12))
    assert finding.count == 23
    assert "Delete these rows of library.City" in finding.hint


def test_a_reference_without_a_constraint_is_only_warned_of(using):
    book = library.Book.objects.using(using).create(title="t", isbn="1")
    library.Loan.objects.using(using).create(pk=7, book=book, formerly_id=4711)
    dumped = {model: table(model, using) for model in (library.Loan, library.Book)}
    (finding,) = soundness.dangling(dumped[library.Loan], dumped)
    assert (finding.severity, finding.field, finding.keys) == (
        Severity.WARNING,
        "formerly",
        (4711,),
    )


def test_rows_of_sound_tables_are_not_complained_of(using):
    group = Group.objects.using(using).create(name="g")
    right = Permission.objects.using(using).first()
    group.permissions.add(right)
    user = User.objects.using(using).create(username="a")
    LogEntry.objects.using(using).create(
        user=user, content_type=right.content_type, object_id="1", action_flag=1
    )
    models = (User, Group, LogEntry, Group.permissions.through)
    dumped = {model: table(model, using) for model in models}
    for each in dumped.values():
        assert not list(soundness.dangling(each, dumped))
        assert not list(soundness.stale(each))


def test_a_target_that_its_manager_hides_is_as_good_as_missing(using):
    hidden = library.Draft.everything.using(using).create(title="h", hidden=True)
    library.Draft.everything.using(using).create(title="v")
    drafts = table(library.Draft, using, default_manager=True)
    assert soundness.hidden(drafts) == 1
    assert soundness.hidden(table(library.Draft, using)) == 0
    assert hidden.pk


def test_whatever_points_to_a_model_that_is_gone_is_told_with_its_loss(using, legacy):
    kind, right = legacy
    user = User.objects.using(using).create(username="a")
    user.user_permissions.add(right)
    Group.objects.using(using).create(name="g").permissions.add(right)
    LogEntry.objects.using(using).create(user=user, content_type=kind, object_id="1", action_flag=1)
    library.Note.objects.using(using).create(pk=3, content_type=kind, object_id="1", text="x")
    models = (
        User.user_permissions.through,
        Group.permissions.through,
        LogEntry,
        library.Note,
    )
    found = {m._meta.label: list(soundness.stale(table(m, using))) for m in models}
    (note,) = found["library.Note"]
    assert (note.code, note.field, note.count) == ("stale-contenttype", "content_type", 1)
    assert (note.keys, note.objects) == ((["legacy", "poll"],), (3,))
    assert "remove_stale_contenttypes --include-stale-apps" in note.hint
    assert "deletes 1 row of library.Note" in note.hint
    (entry,) = found["admin.LogEntry"]
    assert "keeps 1 row of admin.LogEntry and empties their content_type" in entry.hint
    (of_user,) = found["auth.User_user_permissions"]
    assert (of_user.code, of_user.keys) == ("stale-permission", (["add_poll", "legacy", "poll"],))
    (of_group,) = found["auth.Group_permissions"]
    assert of_group.code == "stale-permission"


@pytest.mark.parametrize(
    ("model", "paths", "unique"),
    [
        (library.Publisher, ("name",), True),
        (library.Series, ("publisher__name", "title"), True),
        (User, ("username",), True),
        (Permission, ("codename", "content_type__app_label", "content_type__model"), True),
        (library.Author, (), False),
    ],
)
def test_the_fields_of_a_natural_key_are_found_without_a_row(model, paths, unique):
    assert probing.natural_key_fields(model) == paths
    assert probing.is_unique(model, paths) is unique


def test_rows_that_share_a_natural_key_are_told(using, monkeypatch):
    monkeypatch.setattr(library.Publisher, "natural_key", lambda self: (self.founded,))
    publishers = library.Publisher.objects.using(using)
    for pk, year in enumerate((1900, 1900, 1901, 1902, 1902, 1902), 1):
        publishers.create(pk=pk, name=str(pk), founded=f"{year}-01-01")
    sample = soundness.shared_natural_keys(table(library.Publisher, using))
    assert sample
    assert sample.count == 5
    assert sample.keys == (["1900-01-01"], ["1902-01-01"])
    assert sample.objects == (1, 2, 4, 5, 6)
    assert soundness.shared_natural_keys(table(User, using)) is None
