"""Everything that would break is found before anything is written, and told with its cure."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections

from diskette.core.report import Severity
from tests.data.conftest import MARIADB, POSTGRESQL, SQLITE, clear
from tests.data.loading import Archive, Loading
from tests.library import models as library
from tests.pglibrary import models as pglibrary

BOOK = {
    "title": "t",
    "price": "1.00",
    "cover": "",
    "series": None,
    "owner": None,
    "created_at": "2026-01-01T00:00:00+00:00",
    "changed_at": "2026-01-01T00:00:00+00:00",
}
USER = {
    "password": "!",
    "last_login": None,
    "is_superuser": False,
    "first_name": "",
    "last_name": "",
    "email": "",
    "is_staff": False,
    "is_active": True,
    "date_joined": "2026-01-01T00:00:00+00:00",
}


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive(tmp_path)


KEPT_ASIDE = (
    "ALTER TABLE library_author RENAME TO kept",
    "ALTER TABLE kept RENAME TO library_author",
)
AUTHOR_WITH_KNOWN_NAME = """
    CREATE TABLE library_author (
        id integer PRIMARY KEY AUTOINCREMENT,
        name varchar(80) NOT NULL REFERENCES names (known),
        mentor_id bigint NULL
    )"""
AUTHOR_WITH_CHECKS = """
    CREATE TABLE library_author (
        id integer PRIMARY KEY AUTOINCREMENT, -- not a check (id > 5
        name varchar(100) NOT NULL CONSTRAINT [no x] CHECK(name <> 'x') /* CHECK (0) */,
        mentor_id bigint NULL CHECK (library_author.mentor_id <> 7),
        CHECK (id < 10 OR name = 'a)'),
        check (name <> "z")
    )"""


def book(pk: int, isbn: str, **fields) -> dict:
    return {"pk": pk, "isbn": isbn, **BOOK, **fields}


def instant(day: int) -> dt.datetime:
    return dt.datetime(2026, 1, day, tzinfo=dt.UTC)


def user(pk: int, username: str) -> dict:
    return {"pk": pk, "username": username, **USER}


def the_only(findings):
    (finding,) = findings
    return finding


def problems(archive: Archive, using: str, **options):
    loading = Loading(archive, using, **options).stage()
    try:
        return loading.check()
    finally:
        loading.drop()


def test_rows_that_refer_to_nothing_are_told_with_their_keys(archive, using):
    archive.write(library.Author, {"pk": 1, "name": "a", "mentor": 1})
    archive.write(
        library.City,
        *[{"pk": pk, "name": "c", "country": 100 + pk % 12} for pk in range(1, 25)],
    )
    archive.write(library.Country, {"pk": 100, "name": "x", "capital": 1})

    finding = the_only(problems(archive, using))

    assert finding.code == "foreignkey-missing"
    assert finding.severity == Severity.ERROR
    assert finding.message.startswith("Integrity error: ForeignKey missing")
    assert (finding.model, finding.field, finding.target) == (
        "library.City",
        "country",
        "library.Country",
    )
    assert finding.keys == tuple(range(101, 111))
    assert finding.objects == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert finding.count == 22
    assert finding.hint


def test_a_target_that_is_not_in_the_archive_is_looked_for_in_the_database(archive, using):
    there = library.Country.objects.using(using).create(name="x")
    archive.write(
        library.City,
        {"pk": 1, "name": "c", "country": there.pk},
        {"pk": 2, "name": "c", "country": there.pk + 1},
    )

    finding = the_only(problems(archive, using))

    assert (finding.keys, finding.objects) == ((there.pk + 1,), (2,))
    assert "DISKETTE_APPS" in finding.hint


def test_keys_of_rows_that_came_without_theirs_are_refused(archive, using):
    """The archive's 2 was "b"; here, rows being numbered anew, it would be another."""
    archive.write(library.Publisher, {"name": "a"}, {"name": "b"})
    archive.write(
        library.Series,
        {"pk": 1, "publisher": 2, "title": "by key"},
        {"pk": 2, "publisher": ["a"], "title": "by natural key"},
    )

    finding = the_only(problems(archive, using))

    assert (finding.code, finding.severity) == ("natural-primary", Severity.ERROR)
    assert (finding.model, finding.field) == ("library.Series", "publisher")
    assert (finding.keys, finding.objects, finding.count) == ((2,), (1,), 1)
    assert "'natural_foreign': True" in finding.hint


def test_generic_references_to_rows_that_came_without_their_keys_are_refused(archive, using):
    archive.write(library.Publisher, {"name": "a"})
    archive.write(
        library.Note,
        {"pk": 1, "content_type": ["library", "publisher"], "object_id": "7", "text": "lost"},
        {"pk": 2, "content_type": ["library", "mark"], "object_id": "7", "text": "kept"},
    )

    finding = the_only(problems(archive, using))

    assert (finding.code, finding.field) == ("natural-primary", "subject")
    assert (finding.keys, finding.objects, finding.count) == (("7",), (1,), 1)


def test_zero_with_a_sign_is_told_where_the_engine_has_none(archive, using):
    archive.write(library.Specimen, {"pk": 1, "float": 0.0}, {"pk": 2, "float": -0.0})

    found = [(each.code, each.field, each.objects) for each in problems(archive, using)]

    assert found == ([] if using == POSTGRESQL else [("value-out-of-range", "float", (2,))])


def test_cycles_and_self_references_of_the_archive_hold(archive, using):
    archive.write(library.Author, {"pk": 1, "name": "a", "mentor": 2})
    archive.write(library.Author, {"pk": 1, "name": "a", "mentor": 1})
    archive.write(library.City, {"pk": 1, "name": "c", "country": 1})
    archive.write(library.Country, {"pk": 1, "name": "x", "capital": 1})

    assert problems(archive, using) == []


def test_a_reference_to_another_field_than_the_key_is_followed(archive, using):
    archive.write(library.Book, book(1, "isbn-1"))
    archive.write(
        library.Loan,
        {"pk": 1, "book": "isbn-1", "formerly": None, "due": "2026-01-01"},
        {"pk": 2, "book": "isbn-2", "formerly": None, "due": "2026-01-01"},
    )

    finding = the_only(problems(archive, using))

    assert (finding.field, finding.keys, finding.objects) == ("book", ("isbn-2",), (2,))


def test_a_reference_without_a_constraint_may_dangle(archive, using):
    archive.write(library.Book, book(1, "isbn-1"))
    row = {"pk": 1, "book": "isbn-1", "formerly": 4711, "due": "2026-01-01"}
    archive.write(library.Loan, row)

    finding = the_only(problems(archive, using))

    assert (finding.severity, finding.field, finding.keys) == (
        Severity.WARNING,
        "formerly",
        (4711,),
    )


def test_a_generic_reference_is_bound_to_nothing(archive, using):
    row = {"pk": 1, "content_type": ["library", "book"], "object_id": "99", "text": "x"}
    archive.write(library.Note, row)

    assert problems(archive, using) == []


def test_a_child_without_its_parents_row_is_found(archive, using):
    archive.write(library.Place, {"pk": 1, "name": "p", "opened_at": None})
    archive.write(library.Branch, {"pk": 1, "manager": None}, {"pk": 2, "manager": None})

    finding = the_only(problems(archive, using))

    assert (finding.field, finding.target, finding.keys) == ("place_ptr", "library.Place", (2,))


def test_a_composite_key_is_told_whole(archive, using):
    row = {"number": 3, "room": 77, "shelf": "A", "taken_by": None}
    archive.write(library.Seat, row)

    finding = the_only(problems(archive, using))

    assert (finding.field, finding.keys, finding.objects) == ("room", (77,), ([77, 3],))


def test_uuid_keys_are_told_as_people_write_them(archive, using):
    here, there = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
    archive.write(library.Ticket, {"pk": here, "follows": there})

    finding = the_only(problems(archive, using))

    assert (finding.keys, finding.objects) == ((there,), (here,))


class TestRowsThatStay:
    def test_those_that_would_dangle_are_found(self, archive, using):
        author = User.objects.using(using).create(username="a")
        kind = ContentType.objects.using(using).first()
        entry = LogEntry.objects.using(using).create(
            user=author, content_type=kind, object_id="1", action_flag=1
        )
        archive.write(User, user(author.pk + 1, "b"))

        finding = the_only(problems(archive, using))

        assert finding.message.startswith("Integrity error: ForeignKey missing")
        assert (finding.model, finding.field) == ("admin.LogEntry", "user")
        assert (finding.keys, finding.objects) == ((author.pk,), (entry.pk,))
        assert "merge" in finding.hint

    def test_those_whose_target_comes_back_are_not(self, archive, using):
        author = User.objects.using(using).create(username="a")
        LogEntry.objects.using(using).create(user=author, action_flag=1)
        archive.write(User, user(author.pk, "renamed"))

        assert problems(archive, using) == []

    def test_a_merge_leaves_them_alone(self, archive, using):
        author = User.objects.using(using).create(username="a")
        LogEntry.objects.using(using).create(user=author, action_flag=1)
        archive.write(User, user(author.pk + 1, "b"))

        assert problems(archive, using, mode="merge") == []

    def test_a_merge_that_changes_what_they_refer_to_is_found(self, archive, using):
        library.Book.objects.using(using).create(pk=1, isbn="old", title="t")
        library.Loan.objects.using(using).create(pk=5, book_id="old")
        archive.write(library.Book, book(1, "new"))

        finding = the_only(problems(archive, using, mode="merge"))

        assert (finding.model, finding.keys, finding.objects) == ("library.Loan", ("old",), (5,))


class TestUnique:
    def test_a_primary_key_that_comes_twice(self, archive, using):
        rows = [{"pk": pk, "name": str(index)} for index, pk in enumerate((1, 2, 2))]
        archive.write(library.Genre, *rows)

        finding = the_only(problems(archive, using))

        assert (finding.code, finding.field, finding.keys) == ("unique-conflict", "id", (2,))
        assert (finding.objects, finding.count) == ((2, 2), 2)

    def test_a_unique_field(self, archive, using):
        rows = [{"pk": pk, "name": name} for pk, name in ((1, "a"), (2, "a"), (3, "b"))]
        archive.write(library.Genre, *rows)

        finding = the_only(problems(archive, using))

        assert (finding.field, finding.keys, finding.objects) == ("name", ("a",), (1, 2))

    def test_fields_that_are_unique_together(self, archive, using):
        archive.write(library.Book, book(1, "i"))
        archive.write(library.Author, {"pk": 1, "name": "a", "mentor": None})
        row = {"book": 1, "author": 1, "invited_by": None, "role": "author"}
        archive.write(library.Contribution, {"pk": 1, **row}, {"pk": 2, **row})

        finding = the_only(problems(archive, using))

        assert finding.field == "book, author, role"
        assert (finding.keys, finding.objects) == (([1, 1, "author"],), (1, 2))

    def test_pairs_of_a_many_to_many_relation(self, archive, using):
        archive.write(library.Book, book(1, "i"))
        archive.write(library.Genre, {"pk": 1, "name": "a"})
        through = library.Book.genres.through
        archive.write(through, *[{"pk": pk, "book": 1, "genre": 1} for pk in (1, 2)])

        assert the_only(problems(archive, using)).model == "library.Book_genres"

    def test_a_merge_is_compared_with_the_rows_that_stay(self, archive, using):
        library.Genre.objects.using(using).create(pk=1, name="a")
        library.Genre.objects.using(using).create(pk=2, name="b")
        archive.write(library.Genre, {"pk": 2, "name": "c"}, {"pk": 3, "name": "a"})

        assert problems(archive, using) == []
        finding = the_only(problems(archive, using, mode="merge"))

        assert (finding.keys, finding.objects) == (("a",), (1, 3))

    def test_a_merge_may_give_a_value_on(self, archive, using):
        library.Genre.objects.using(using).create(pk=1, name="a")
        archive.write(library.Genre, {"pk": 1, "name": "b"}, {"pk": 2, "name": "a"})

        assert problems(archive, using, mode="merge") == []


def test_nulls_are_found_where_none_may_be(archive, using):
    archive.write(library.Author, {"pk": 1, "name": None, "mentor": None})

    finding = the_only(problems(archive, using))

    assert (finding.code, finding.model, finding.field) == (
        "null-conflict",
        "library.Author",
        "name",
    )
    assert (finding.objects, finding.count) == ((1,), 1)


def test_a_check_constraint_is_heeded(archive, using):
    archive.write(library.Book, book(1, "i", price="-1.00"), book(2, "j"))

    finding = the_only(problems(archive, using))

    assert (finding.code, finding.field) == ("value-out-of-range", "library_book_price")
    assert finding.objects == (1,)


def test_a_number_that_the_column_may_not_hold_is_found(archive, using):
    archive.write(User, user(1, "a"))
    archive.write(library.Card, {"pk": 1, "number": -5})

    finding = the_only(problems(archive, using))

    assert (finding.code, finding.field, finding.keys) == ("value-out-of-range", "number", (-5,))


class TestStale:
    def test_content_types(self, archive, using):
        row = {"object_id": "1", "text": "x"}
        archive.write(
            library.Note,
            {"pk": 1, "content_type": ["library", "book"], **row},
            {"pk": 2, "content_type": ["blog", "article"], **row},
        )

        finding = the_only(problems(archive, using))

        assert (finding.code, finding.field) == ("stale-contenttype", "content_type")
        assert (finding.keys, finding.objects) == ((["blog", "article"],), (2,))
        assert "remove_stale_contenttypes --include-stale-apps" in finding.hint

    def test_permissions(self, archive, using):
        archive.write(Group, {"pk": 1, "name": "g"})
        archive.write(
            Group.permissions.through,
            {"pk": 1, "group": 1, "permission": ["add_book", "library", "book"]},
            {"pk": 2, "group": 1, "permission": ["add_article", "blog", "article"]},
        )

        finding = the_only(problems(archive, using))

        assert (finding.code, finding.target) == ("stale-permission", "auth.Permission")
        assert (finding.keys, finding.objects) == ((["add_article", "blog", "article"],), (2,))
        assert "remove_stale_contenttypes --include-stale-apps" in finding.hint

    def test_they_are_looked_for_again_when_the_rows_are_checked(self, archive, using):
        row = {"content_type": ["blog", "article"], "object_id": "1", "text": "x"}
        archive.write(library.Note, {"pk": 1, **row})
        loading = Loading(archive, using).stage()
        assert the_only(loading.check()).code == "stale-contenttype"

        kind = ContentType.objects.using(using).create(app_label="blog", model="article")
        try:
            assert loading.check() == []
            loading.apply()
            assert library.Note.objects.using(using).get().content_type_id == kind.pk
        finally:
            library.Note.objects.using(using).all().delete()
            kind.delete()


def test_everything_wrong_is_told_at_once(archive, using):
    archive.write(
        library.Genre, {"pk": 1, "name": "a"}, {"pk": 2, "name": "a"}, {"pk": 3, "name": None}
    )
    archive.write(library.City, {"pk": 1, "name": None, "country": 9})
    archive.write(library.Loan, {"pk": 1, "book": "x", "formerly": 1, "due": None})
    archive.write(library.Book, book(1, "i", price="-1", series=3, owner=4))
    archive.write(library.Role, {"pk": 1, "name": "r", "permission": ["a", "b", "c"], "about": []})

    codes = [(finding.code, finding.model, finding.field) for finding in problems(archive, using)]

    assert sorted(codes) == [
        ("foreignkey-missing", "library.Book", "owner"),
        ("foreignkey-missing", "library.Book", "series"),
        ("foreignkey-missing", "library.City", "country"),
        ("foreignkey-missing", "library.Loan", "book"),
        ("null-conflict", "library.City", "name"),
        ("null-conflict", "library.Genre", "name"),
        ("null-conflict", "library.Loan", "due"),
        ("stale-contenttype", "library.Role", "about"),
        ("stale-permission", "library.Role", "permission"),
        ("unique-conflict", "library.Genre", "name"),
        ("value-out-of-range", "library.Book", "library_book_price"),
    ]


def test_nothing_live_is_changed_by_a_check(archive, using):
    library.Loan.objects.using(using).all().delete()
    country = library.Country.objects.using(using).create(name="stays")
    archive.write(library.Country, {"pk": country.pk + 1, "name": "x", "capital": None})

    assert problems(archive, using) == []

    assert [each.name for each in library.Country.objects.using(using).all()] == ["stays"]


def test_dates_and_times_out_of_a_column_are_no_surprise(archive, using):
    archive.write(library.Publisher, {"pk": 1, "name": "p", "founded": "0001-01-01"})

    assert problems(archive, using) == []
    loading = Loading(archive, using)
    assert loading.load() == []
    assert library.Publisher.objects.using(using).get().founded == dt.date(1, 1, 1)


class TestStaleLinksThatMayBeDropped:
    @pytest.fixture
    def stale(self, archive, using) -> Archive:
        gone, there = ["legacy", "poll"], ["library", "book"]
        rows = [(1, gone), (2, there), (3, gone)]
        archive.write(
            library.Note,
            *[{"pk": pk, "content_type": kind, "object_id": "1", "text": ""} for pk, kind in rows],
        )
        roles = [(1, gone), (2, there)]
        archive.write(
            library.Role,
            *[{"pk": pk, "name": "r", "about": kind, "permission": None} for pk, kind in roles],
        )
        return archive

    def test_they_are_counted_and_nothing_else_goes(self, stale, using):
        loading = Loading(stale, using).stage()
        found = {each.model: each for each in loading.check(drop_stale=True)}
        assert {label: (each.count, each.severity) for label, each in found.items()} == {
            "library.Note": (2, Severity.WARNING),
            "library.Role": (1, Severity.WARNING),
        }
        loading.apply()
        assert list(library.Note.objects.using(using).values_list("pk", flat=True)) == [2]
        about = dict(library.Role.objects.using(using).values_list("pk", "about__model"))
        assert about == {1: None, 2: "book"}
        loading.drop()

    def test_a_repeated_check_tells_what_the_first_one_dropped(self, stale, using):
        loading = Loading(stale, using).stage()
        first = loading.check(drop_stale=True)
        assert loading.check(drop_stale=True) == first
        loading.drop()


class TestConstraintsThatNoModelDeclares:
    @pytest.fixture
    def by_hand(self, using):
        """Runs statements, and takes back what they did."""
        undo = []

        def change(statement: str, back: str) -> None:
            execute(using, statement)
            undo.append(back)

        yield change
        clear(using)
        for statement in reversed(undo):
            execute(using, statement)

    def test_a_unique_index_is_kept_with_the_keys_that_break_it(self, archive, using, by_hand):
        of = " ON library_author" if connections[using].vendor == "mysql" else ""
        by_hand("CREATE UNIQUE INDEX one_name ON library_author (name)", f"DROP INDEX one_name{of}")
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("aabc", 1)],
        )
        finding = the_only(problems(archive, using))
        assert finding.code == "unique-conflict"
        assert (finding.keys, finding.objects, finding.count) == (("a",), (1, 2), 2)
        assert "one_name, which no model declares" in finding.message

    @pytest.mark.parametrize("using", [SQLITE, POSTGRESQL], indirect=True)
    def test_a_unique_index_of_some_rows_is_about_these_rows(self, archive, using, by_hand):
        by_hand(
            "CREATE UNIQUE INDEX one_name ON library_author (name) WHERE (name <> 'b')",
            "DROP INDEX one_name",
        )
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("aabb", 1)],
        )
        finding = the_only(problems(archive, using))
        assert (finding.keys, finding.objects, finding.count) == (("a",), (1, 2), 2)

    @pytest.mark.parametrize("using", [SQLITE, POSTGRESQL], indirect=True)
    def test_a_unique_index_of_an_expression_is_kept(self, archive, using, by_hand):
        by_hand(
            "CREATE UNIQUE INDEX one_name ON library_author (lower(name) DESC, (id > 0))",
            "DROP INDEX one_name",
        )
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("aAbc", 1)],
        )
        finding = the_only(problems(archive, using))
        assert (finding.code, finding.objects, finding.count) == ("unique-conflict", (1, 2), 2)
        assert "one_name, which no model declares" in finding.message

    @pytest.mark.parametrize("using", [MARIADB], indirect=True)
    def test_a_unique_index_of_beginnings_is_kept(self, archive, using, by_hand):
        by_hand(
            "CREATE UNIQUE INDEX one_name ON library_author (name(2))",
            "DROP INDEX one_name ON library_author",
        )
        names = ("one", "once", "two")
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate(names, 1)],
        )
        finding = the_only(problems(archive, using))
        assert (finding.keys, finding.objects) == (("on",), (1, 2))

    @pytest.mark.parametrize("using", [SQLITE, POSTGRESQL], indirect=True)
    def test_an_index_of_what_no_archive_holds_is_left_to_the_database(
        self, archive, using, by_hand
    ):
        by_hand(
            "ALTER TABLE library_author ADD COLUMN nick varchar(9)",
            "ALTER TABLE library_author DROP COLUMN nick",
        )
        by_hand(
            "CREATE UNIQUE INDEX one_name ON library_author (lower(nick))",
            "DROP INDEX one_name",
        )
        archive.write(library.Author, *[{"pk": pk, "name": "a", "mentor": None} for pk in (1, 2)])
        assert problems(archive, using) == []

    @pytest.mark.parametrize("using", [POSTGRESQL, MARIADB], indirect=True)
    def test_a_check_is_kept_with_the_rows_that_break_it(self, archive, using, by_hand):
        by_hand(
            "ALTER TABLE library_author ADD CONSTRAINT no_x CHECK (name <> 'x')",
            "ALTER TABLE library_author DROP CONSTRAINT no_x",
        )
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("axbx", 1)],
        )
        finding = the_only(problems(archive, using))
        assert (finding.code, finding.field, finding.objects) == (
            "value-out-of-range",
            "no_x",
            (2, 4),
        )

    @pytest.mark.parametrize("using", [MARIADB], indirect=True)
    def test_a_check_of_a_column_is_kept(self, archive, using, by_hand):
        by_hand(
            "ALTER TABLE library_author MODIFY name varchar(80) NOT NULL CHECK (name <> 'x')",
            "ALTER TABLE library_author MODIFY name varchar(80) NOT NULL",
        )
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("axbx", 1)],
        )
        finding = the_only(problems(archive, using))
        assert (finding.code, finding.objects) == ("value-out-of-range", (2, 4))
        assert finding.field == "`name` <> 'x'"

    @pytest.mark.parametrize("using", [SQLITE], indirect=True)
    def test_checks_are_found_in_the_statement_that_made_a_table(self, archive, using, by_hand):
        by_hand(*KEPT_ASIDE)
        by_hand(AUTHOR_WITH_CHECKS, "DROP TABLE library_author")
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("axbz", 1)],
            {"pk": 11, "name": "a", "mentor": None},
        )
        told = {each.field: each.objects for each in problems(archive, using)}
        assert told == {"no x": (2,), "id < 10 OR name = 'a)'": (11,), 'name <> "z"': (4,)}

    @pytest.mark.parametrize("using", [POSTGRESQL], indirect=True)
    def test_an_exclusion_constraint_is_kept_with_the_rows_that_break_it(
        self, archive, using, by_hand
    ):
        by_hand(
            "ALTER TABLE library_author ADD CONSTRAINT apart EXCLUDE USING gist"
            " (int4range(id::int, id::int + 2) WITH &&) WHERE (name <> 'b')",
            "ALTER TABLE library_author DROP CONSTRAINT apart",
        )
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("aabca", 1)],
        )
        finding = the_only(problems(archive, using))
        assert (finding.code, finding.field) == ("unique-conflict", "apart")
        assert (finding.objects, finding.count) == ((1, 2, 4, 5), 4)
        assert "exclude each other by the constraint apart: EXCLUDE USING gist" in finding.message

    @pytest.mark.parametrize("using", [POSTGRESQL], indirect=True)
    def test_merged_rows_that_live_ones_exclude_are_told(self, archive, using):
        day = '{"lower": "2026-01-0%dT00:00:00+00:00", "upper": "2026-01-0%dT00:00:00+00:00"}'
        stays = pglibrary.Booking(pk=1, room=1, during=(instant(1), instant(3)))
        stays.save(using=using)
        archive.write(
            pglibrary.Booking,
            *[{"pk": pk, "room": 1, "during": day % (pk, pk + 1)} for pk in (2, 3, 4)],
        )
        finding = the_only(problems(archive, using, mode="merge"))
        assert (finding.field, finding.objects) == ("pglibrary_booking_overlap", (1, 2))
        assert problems(archive, using) == []

    def test_a_foreign_key_is_kept_with_the_rows_that_break_it(self, archive, using, by_hand):
        by_hand("CREATE TABLE names (known varchar(80) PRIMARY KEY)", "DROP TABLE names")
        execute(using, "INSERT INTO names VALUES ('a')")
        if connections[using].vendor == "sqlite":
            by_hand(*KEPT_ASIDE)
            by_hand(AUTHOR_WITH_KNOWN_NAME, "DROP TABLE library_author")
        else:
            kind = "FOREIGN KEY" if connections[using].vendor == "mysql" else "CONSTRAINT"
            by_hand(
                "ALTER TABLE library_author ADD CONSTRAINT known"
                " FOREIGN KEY (name) REFERENCES names (known)",
                f"ALTER TABLE library_author DROP {kind} known",
            )
        archive.write(
            library.Author,
            *[{"pk": pk, "name": name, "mentor": None} for pk, name in enumerate("abc", 1)],
        )
        finding = the_only(problems(archive, using))
        assert (finding.code, finding.field, finding.target, finding.objects) == (
            "foreignkey-missing",
            "name",
            "names",
            (2, 3),
        )

    @pytest.mark.parametrize("using", [POSTGRESQL, MARIADB], indirect=True)
    def test_a_column_that_may_not_be_null_is_kept(self, archive, using, by_hand):
        change = {
            "postgresql": (
                "ALTER COLUMN founded SET NOT NULL",
                "ALTER COLUMN founded DROP NOT NULL",
            ),
            "mysql": ("MODIFY founded date NOT NULL", "MODIFY founded date NULL"),
        }[connections[using].vendor]
        by_hand(*(f"ALTER TABLE library_publisher {each}" for each in change))
        archive.write(library.Publisher, {"pk": 1, "name": "a", "founded": None})
        finding = the_only(problems(archive, using))
        assert (finding.code, finding.field, finding.objects) == ("null-conflict", "founded", (1,))


def execute(using: str, statement: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(statement)
