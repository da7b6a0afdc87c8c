"""What is loaded is what was dumped, on either engine, into an empty database or a full one."""

from __future__ import annotations

import itertools

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import signals

from diskette.core.report import Severity
from tests.data.conftest import MARIADB, POSTGRESQL, SQLITE, clear
from tests.data.loading import Archive, Loading, all_models, snapshot, traces
from tests.library import models as library
from tests.library import samples

ENGINES = (SQLITE, POSTGRESQL, MARIADB)


def errors(findings):
    return [finding for finding in findings if finding.severity == Severity.ERROR]


@pytest.mark.parametrize(
    ("source", "target", "full"), list(itertools.product(ENGINES, ENGINES, [False, True]))
)
@pytest.mark.parametrize("natural", [False, True], ids=["by_key", "by_natural_key"])
def test_a_load_makes_the_rows_what_they_were(
    request, databases, settings, tmp_path, source, target, full, natural
):
    if MARIADB in (source, target):
        request.getfixturevalue("mariadb")
    settings.DISKETTE_DATABASE = target
    samples.fill(source)
    models = all_models(source, target)
    before = snapshot(source, models)
    archive = Archive(tmp_path).dump(source, models, natural_foreign=natural)
    _change(target, full=full, same=source == target)

    loading = Loading(archive, target).stage()
    assert errors(loading.check()) == []
    loading.apply()
    found = loading.verify()
    loading.drop()

    assert found == []
    assert snapshot(target, models) == before
    assert traces(target, tmp_path) == []


def _change(target: str, *, full: bool, same: bool) -> None:
    """Other rows than the archive's; or none."""
    if full and not same:
        samples.fill(target)
    if full:
        User.objects.using(target).update(last_name="changed")
        library.Author.objects.using(target).create(pk=900, name="another")
        library.Genre.objects.using(target).all().delete()
        library.Mark.objects.using(target).create(pk=77)
    elif same:
        clear(target)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_project_in_debug_mode_is_dumped_and_loaded_as_any(
    request, databases, settings, tmp_path, engine
):
    """Django's cursors are others then: they note every statement, and take less."""
    if engine == MARIADB:
        request.getfixturevalue("mariadb")
    settings.DISKETTE_DATABASE = engine
    settings.DEBUG = True
    samples.fill(engine)
    models = all_models(engine)
    before = snapshot(engine, models)

    assert errors(Loading(Archive(tmp_path).dump(engine, models), engine).load()) == []

    assert snapshot(engine, models) == before


def test_what_is_not_in_the_archive_is_gone_afterwards(tmp_path, using):
    archive = Archive(tmp_path).write(library.Mark, {"pk": 2})
    library.Mark.objects.using(using).create(pk=1)

    assert Loading(archive, using).load() == []

    assert [mark.pk for mark in library.Mark.objects.using(using).all()] == [2]


def test_an_empty_member_empties_the_table(tmp_path, using):
    archive = Archive(tmp_path).write(library.Mark)
    library.Mark.objects.using(using).create(pk=1)

    assert Loading(archive, using).load() == []

    assert not library.Mark.objects.using(using).exists()


def test_no_signal_is_sent(tmp_path, using):
    samples.fill(using)
    archive = Archive(tmp_path).dump(using, all_models(using))
    heard = []

    def listen(sender, **_):
        heard.append(sender)

    senders = [signals.pre_save, signals.post_save, signals.m2m_changed]
    senders += [signals.pre_delete, signals.post_delete]
    for signal in senders:
        signal.connect(listen)
    try:
        loading = Loading(archive, using).stage().apply()
    finally:
        for signal in senders:
            signal.disconnect(listen)
    loading.drop()

    assert heard == []


class TestNaturalKeys:
    def test_they_are_followed_to_rows_of_the_archive_first(self, tmp_path, using):
        library.Publisher.objects.using(using).create(pk=50, name="p")
        archive = Archive(tmp_path)
        archive.write(library.Publisher, {"pk": 7, "name": "p", "founded": None})
        archive.write(library.Series, {"pk": 1, "publisher": ["p"], "title": "s"})

        assert Loading(archive, using).load() == []

        assert library.Series.objects.using(using).get().publisher_id == 7

    def test_then_to_rows_of_the_database(self, tmp_path, using):
        library.Publisher.objects.using(using).create(pk=50, name="p")
        archive = Archive(tmp_path)
        archive.write(library.Series, {"pk": 1, "publisher": ["p"], "title": "s"})

        assert Loading(archive, using).load() == []

        assert library.Series.objects.using(using).get().publisher_id == 50

    def test_a_key_that_goes_through_another_is_followed(self, tmp_path, using):
        archive = Archive(tmp_path)
        archive.write(library.Publisher, {"pk": 7, "name": "p", "founded": None})
        archive.write(library.Series, {"pk": 3, "publisher": ["p"], "title": "s"})
        row = {"title": "t", "isbn": "i", "price": "1", "cover": "", "owner": None}
        at = "2026-01-01T00:00:00+00:00"
        row |= {"created_at": at, "changed_at": at, "series": ["p", "s"]}
        archive.write(library.Book, {"pk": 1, **row})

        loading = Loading(archive, using).stage()
        assert loading.check() == []
        loading.apply().drop()

        assert library.Book.objects.using(using).get().series_id == 3

    def test_one_that_nothing_answers_to_is_a_finding(self, tmp_path, using):
        archive = Archive(tmp_path)
        archive.write(library.Series, {"pk": 1, "publisher": ["nobody"], "title": "s"})

        (finding,) = Loading(archive, using).load()

        assert finding.code == "foreignkey-missing"
        assert (finding.field, finding.keys, finding.objects) == ("publisher", (["nobody"],), (1,))

    def test_one_that_two_rows_answer_to_is_a_finding(self, tmp_path, using):
        archive = Archive(tmp_path)
        rows = [{"pk": pk, "name": "p", "founded": None} for pk in (1, 2)]
        archive.write(library.Publisher, *rows)
        archive.write(library.Series, {"pk": 1, "publisher": ["p"], "title": "s"})

        found = {finding.code for finding in Loading(archive, using).load()}

        assert found == {"foreignkey-missing", "unique-conflict"}


class TestRowsWithoutTheirKey:
    def test_a_row_that_is_there_keeps_its_key(self, tmp_path, using):
        library.Publisher.objects.using(using).create(pk=50, name="known")
        stays = library.Series.objects.using(using).create(publisher_id=50, title="stays")
        archive = Archive(tmp_path).write(
            library.Publisher,
            {"name": "new", "founded": None},
            {"name": "known", "founded": "2000-01-01"},
        )

        loading = Loading(archive, using).stage()
        assert loading.check() == []
        loading.apply().drop()

        known = library.Publisher.objects.using(using).get(name="known")
        new = library.Publisher.objects.using(using).get(name="new")
        assert (known.pk, known.founded.year) == (50, 2000)
        assert new.pk > 50
        stays.refresh_from_db(using=using)
        assert stays.publisher_id == 50

    def test_others_follow_it_to_its_new_key(self, tmp_path, using):
        archive = Archive(tmp_path)
        archive.write(library.Publisher, {"name": "a", "founded": None}, {"name": "b"})
        archive.write(library.Series, {"publisher": ["b"], "title": "s"})

        loading = Loading(archive, using).stage()
        assert loading.check() == []
        assert loading.check() == []
        loading.apply().drop()

        assert library.Series.objects.using(using).get().publisher.name == "b"

    def test_a_merge_updates_by_natural_key(self, tmp_path, using):
        library.Publisher.objects.using(using).create(pk=50, name="known")
        library.Publisher.objects.using(using).create(pk=51, name="other")
        archive = Archive(tmp_path).write(
            library.Publisher, {"name": "known", "founded": "2000-01-01"}, {"name": "new"}
        )

        loading = Loading(archive, using, mode="merge").stage()
        assert loading.check() == []
        loading.apply().drop()

        rows = library.Publisher.objects.using(using).order_by("pk").values_list("pk", "name")
        assert list(rows)[:2] == [(50, "known"), (51, "other")]
        assert [name for _, name in rows[2:]] == ["new"]

    def test_a_dump_by_natural_keys_loads_elsewhere(self, databases, settings, tmp_path):
        settings.DISKETTE_DATABASE = POSTGRESQL
        samples.fill(SQLITE)
        models = [User, Group, User.groups.through, library.Publisher, library.Series]
        options = {"natural_foreign": True, "natural_primary": True}
        archive = Archive(tmp_path).dump(SQLITE, models, **options)
        Group.objects.using(POSTGRESQL).create(pk=99, name="readers")

        assert Loading(archive, POSTGRESQL).load() == []

        ann = User.objects.using(POSTGRESQL).get(username="ann")
        assert [(group.pk, group.name) for group in ann.groups.all()] == [(99, "readers")]
        assert library.Series.objects.using(POSTGRESQL).get().publisher.name == "Pub & Sons"


class TestMerge:
    def test_rows_are_inserted_and_updated_and_none_is_deleted(self, tmp_path, using):
        rows = library.Genre.objects.using(using)
        rows.create(pk=1, name="kept")
        rows.create(pk=2, name="old")
        archive = Archive(tmp_path)
        archive.write(library.Genre, {"pk": 2, "name": "new"}, {"pk": 3, "name": "added"})

        loading = Loading(archive, using, mode="merge").stage()
        assert loading.check() == []
        assert loading.apply().verify() == []
        loading.drop()

        found = rows.order_by("pk").values_list("pk", "name")
        assert list(found) == [(1, "kept"), (2, "new"), (3, "added")]

    def test_rows_that_are_only_a_key_and_composite_keys_merge(self, tmp_path, using):
        library.Mark.objects.using(using).create(pk=1)
        place = library.Place.objects.using(using).create(name="p")
        library.Seat.objects.using(using).create(room=place, number=1, shelf="old")
        archive = Archive(tmp_path).write(library.Mark, {"pk": 1}, {"pk": 2})
        seat = {"room": place.pk, "shelf": "new", "taken_by": None}
        archive.write(library.Seat, {"number": 1, **seat}, {"number": 2, **seat})

        loading = Loading(archive, using, mode="merge").stage()
        assert loading.check() == []
        loading.apply().drop()

        assert library.Mark.objects.using(using).count() == 2
        seats = library.Seat.objects.using(using).order_by("number").values_list("number", "shelf")
        assert list(seats) == [(1, "new"), (2, "new")]

    def test_of_a_composite_key_only_the_rows_of_the_archive_change(self, tmp_path, using):
        """Added, changed, left: each part of the key tells rows apart, neither alone does."""
        here, there = (library.Place.objects.using(using).create(name=name) for name in "ht")
        seats = library.Seat.objects.using(using)
        seats.create(room=here, number=1, shelf="changed")
        seats.create(room=here, number=3, shelf="added")
        archive = Archive(tmp_path).dump(using, [library.Seat])
        seats.all().delete()
        for room, number in ((here, 1), (here, 2), (there, 1), (there, 3)):
            seats.create(room=room, number=number, shelf="old")

        loading = Loading(archive, using, mode="merge").stage()
        assert loading.check() == []
        assert loading.apply().verify() == []
        loading.drop()

        found = seats.order_by("room_id", "number").values_list("room_id", "number", "shelf")
        assert list(found) == [
            (here.pk, 1, "changed"),
            (here.pk, 2, "old"),
            (here.pk, 3, "added"),
            (there.pk, 1, "old"),
            (there.pk, 3, "old"),
        ]

    def test_everything_merged_into_itself_changes_nothing(self, tmp_path, using):
        samples.fill(using)
        models = all_models(using)
        before = snapshot(using, models)
        archive = Archive(tmp_path).dump(using, models)

        loading = Loading(archive, using, mode="merge").stage()
        assert errors(loading.check()) == []
        assert loading.apply().verify() == []
        loading.drop()

        assert snapshot(using, models) == before

    def test_rows_that_differ_afterwards_are_named_and_no_others(self, tmp_path, using):
        rows = library.Genre.objects.using(using)
        rows.create(pk=1, name="kept")
        archive = Archive(tmp_path)
        archive.write(library.Genre, {"pk": 2, "name": "a"}, {"pk": 3, "name": "b"})

        loading = Loading(archive, using, mode="merge").stage().apply()
        rows.filter(pk=3).update(name="c")
        (finding,) = loading.verify()
        loading.drop()

        assert (finding.code, finding.model) == ("digest-mismatch", "library.Genre")
        assert (finding.objects, finding.field) == ((3,), "name")
