"""Each trap: the project falls into it, is told, follows the cure to the letter, and is out."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection

from tests.commands.conftest import run
from tests.library import models as library


def found(*words) -> dict[str, list[dict]]:
    """What a command finds, by code."""
    shape = json.loads(run(*words, "--format", "json").out)
    by_code: dict[str, list[dict]] = {}
    for finding in shape["findings"]:
        by_code.setdefault(finding["code"], []).append(finding)
    return by_code


def dumped() -> str:
    return run("diskette_dump", "--no-storages").last_line


def load(archive: str, *options: str):
    return run("diskette_load", archive, "--no-input", *options)


def test_a_sound_project_is_told_so(project):
    done = run("diskette_check", "--data")
    assert done.code == 0, done.out
    assert "Definitions, rows and files: nothing is wrong." in done.out


class TestAMissingForeignKey:
    """1: a model that others refer to was left out."""

    @pytest.fixture
    def books(self, project, settings):
        settings.DISKETTE_APPS = [["cities", {"models": ["library.City"]}]]
        country = library.Country.objects.create(pk=7, name="x")
        library.City.objects.create(pk=1, name="c", country=country)
        library.City.objects.create(pk=2, name="d", country=country)

    def test_the_cure_is_a_line_of_settings(self, books, settings):
        assert "in no definition" in found("diskette_check")["excluded-target"][0]["message"]
        (told,) = found("diskette_check", "--data")["foreignkey-missing"]
        assert told["message"].startswith(
            "Integrity error: ForeignKey missing: library.City.country refers in 2 rows to "
            "library.Country (7), which is in no definition"
        )
        assert (told["definition"], told["keys"], told["objects"], told["count"]) == (
            "cities",
            [7],
            [1, 2],
            2,
        )
        assert told["hint"].startswith("Add 'library.Country' to the 'models' of 'cities'")
        in_dump = found("diskette_dump", "--no-storages")
        assert in_dump["foreignkey-missing"] == [told]
        archive = dumped()
        library.City.objects.all().delete()
        library.Country.objects.all().delete()
        assert load(archive).code == 4

        library.Country.objects.create(pk=7, name="x")
        library.City.objects.create(pk=1, name="c", country_id=7)
        settings.DISKETTE_APPS = [["cities", {"models": ["library.City", "library.Country"]}]]
        assert "foreignkey-missing" not in found("diskette_check", "--data")
        archive = dumped()
        library.City.objects.all().delete()
        library.Country.objects.all().delete()
        assert load(archive).code == 0
        assert library.City.objects.get().country.name == "x"

    def test_rows_that_dangle_where_they_are_end_the_dump_with_4_and_an_archive(
        self, books, project, settings
    ):
        settings.DISKETTE_APPS = [["cities", {"models": ["library.City", "library.Country"]}]]
        with connection.constraint_checks_disabled():
            library.City.objects.create(pk=3, name="lost", country_id=99)
        done = run("diskette_dump", "--no-storages")
        assert done.code == 4
        assert "cure: Delete these rows of library.City" in done.err
        archive = done.last_line
        assert load(archive).code == 4

        library.City.objects.filter(pk=3).delete()
        assert run("diskette_dump", "--no-storages").code == 0
        assert load("latest").code == 0


class TestStaleLinks:
    """2: rows that point to what an application left that is gone."""

    @pytest.fixture
    def kind(self, project, settings):
        settings.DISKETTE_APPS = [
            ["everything", {"models": ["auth", "admin", "library.Note"], "natural_foreign": True}]
        ]
        return self.fall()

    def fall(self) -> ContentType:
        ada = User.objects.get(username="ada")
        kind = ContentType.objects.create(app_label="legacy", model="poll")
        right = Permission.objects.create(content_type=kind, codename="add_poll", name="x")
        ada.user_permissions.add(right)
        Group.objects.get().permissions.add(right)
        LogEntry.objects.create(user=ada, content_type=kind, object_id="1", action_flag=1)
        library.Note.objects.create(content_type=kind, object_id="1", text="x")
        return kind

    def test_the_cure_is_a_command_on_the_source(self, kind):
        told = found("diskette_check", "--data")
        assert {each["model"] for each in told["stale-permission"]} == {
            "auth.User_user_permissions",
            "auth.Group_permissions",
        }
        losses = {each["model"]: each["hint"] for each in told["stale-contenttype"]}
        assert "deletes 1 row of library.Note" in losses["library.Note"]
        assert "keeps 1 row of admin.LogEntry" in losses["admin.LogEntry"]
        in_dump = found("diskette_dump", "--no-storages")
        assert in_dump["stale-permission"] == told["stale-permission"]

        call_command("remove_stale_contenttypes", "--include-stale-apps", "--no-input", verbosity=0)
        assert "stale-permission" not in found("diskette_check", "--data")
        assert load(dumped()).code == 0
        assert LogEntry.objects.get().content_type is None

    def test_a_load_refuses_them_or_drops_exactly_them(self, kind):
        keep = ContentType.objects.get_for_model(User)
        library.Note.objects.create(content_type=keep, object_id="1", text="kept")
        right = Permission.objects.get(codename="add_user")
        User.objects.get().user_permissions.add(right)
        archive = dumped()
        kind.delete()
        refused = load(archive)
        assert refused.code == 4
        assert "--drop-stale" in refused.err

        done = run("diskette_load", archive, "--no-input", "--drop-stale", "--format", "json")
        assert done.code == 0, done.out
        dropped = {
            each["model"]: each
            for each in json.loads(done.out)["findings"]
            if each["code"].startswith("stale-")
        }
        assert dropped.keys() == {
            "auth.User_user_permissions",
            "auth.Group_permissions",
            "admin.LogEntry",
            "library.Note",
        }
        assert all(each["severity"] == "warning" for each in dropped.values())
        assert dropped["library.Note"]["count"] == 1
        assert "these rows are left out" in dropped["library.Note"]["message"]
        assert library.Note.objects.get().text == "kept"
        assert LogEntry.objects.get().content_type is None
        assert list(User.objects.get().user_permissions.all()) == [right]
        assert not Group.objects.get().permissions.exists()


class TestPluginsBeforeTheirParents:
    """3: the order in the settings could not load."""

    def fall(self) -> None:
        publisher = library.Publisher.objects.create(name="p")
        series = library.Series.objects.create(title="s", publisher=publisher)
        library.Book.objects.create(title="b", isbn="1", series=series)

    def test_the_cure_is_the_order_printed(self, project, settings):
        self.fall()
        definitions = {
            "books": {"models": ["library.Book"]},
            "series": {"models": ["library.Series"]},
            "publishers": {"models": ["library.Publisher"]},
        }
        settings.DISKETTE_APPS = [[name, each] for name, each in definitions.items()]
        done = run("diskette_check")
        assert "library.Book.series refers to library.Series" in done.out
        assert "The order that loads: publishers, series, books." in done.out
        assert load(dumped()).code == 0

        order = json.loads(run("diskette_check", "--format", "json").out)["load_order"]
        settings.DISKETTE_APPS = [[name, definitions[name]] for name in order]
        assert "order" not in found("diskette_check")
        assert load(dumped()).code == 0
        assert library.Book.objects.get().series.publisher.name == "p"

    def test_circles_load_as_they_are(self, project, settings):
        settings.DISKETTE_APPS = [
            ["cities", {"models": ["library.City"]}],
            ["countries", {"models": ["library.Country"]}],
        ]
        country = library.Country.objects.create(name="x")
        country.capital = library.City.objects.create(name="c", country=country)
        country.save()
        archive = dumped()
        library.Country.objects.update(capital=None)
        library.City.objects.all().delete()
        library.Country.objects.all().delete()
        assert load(archive).code == 0
        assert library.Country.objects.get().capital.name == "c"


def test_a_manager_that_hides_rows(project, settings):
    """4: the cure is to leave the parameter out."""
    library.Draft.everything.create(title="h", hidden=True)
    drafts = {"models": "library.Draft", "use_base_manager": False}
    settings.DISKETTE_APPS = [["drafts", drafts]]
    (told,) = found("diskette_check", "--data")["hidden-rows"]
    assert (told["definition"], told["model"], told["count"]) == ("drafts", "library.Draft", 1)
    assert found("diskette_dump", "--no-storages")["hidden-rows"] == [told]

    del drafts["use_base_manager"]
    archive = dumped()
    library.Draft.everything.all().delete()
    assert load(archive).code == 0
    assert library.Draft.everything.get().title == "h"


def test_models_that_no_definition_takes(project, settings):
    """5: named with their rows in each report, and no longer once they are settled."""
    library.Mark.objects.bulk_create([library.Mark() for _ in range(3)])
    (told,) = found("diskette_check", "--data")["uncovered-model"]
    assert (told["model"], told["count"], told["severity"]) == ("library.Mark", 3, "warning")
    assert found("diskette_dump", "--no-storages")["uncovered-model"] == [told]

    settings.DISKETTE_APPS = [*settings.DISKETTE_APPS, ["marks", {"models": ["library.Mark"]}]]
    assert "uncovered-model" not in found("diskette_check", "--data")
    archive = dumped()
    library.Mark.objects.all().delete()
    assert load(archive).code == 0
    assert library.Mark.objects.count() == 3

    settings.DISKETTE_APPS[-1][1].update(models="library", excludes=["library.Mark"])
    (told,) = found("diskette_check", "--data")["uncovered-model"]
    assert (told["severity"], told["definition"]) == ("info", "marks")


class TestConflictsAtTheTarget:
    """8: what stays in the database, or what it demands, does not go with the archive."""

    @pytest.fixture
    def genres(self, project, settings):
        settings.DISKETTE_APPS = [["genres", {"models": ["library.Genre", "library.Author"]}]]
        library.Genre.objects.create(pk=1, name="novel")
        library.Author.objects.bulk_create([library.Author(pk=pk, name="Ann") for pk in (1, 2)])

    def test_rows_that_stay_are_listed_and_replace_is_the_cure(self, genres):
        archive = dumped()
        library.Genre.objects.update(id=7)
        done = load(archive, "--mode", "merge")
        assert done.code == 4
        assert "share values of name that must be unique: novel" in done.err
        assert "or load with --mode replace" in done.err
        assert list(library.Genre.objects.values_list("pk", flat=True)) == [7]
        assert load(archive, "--mode", "replace").code == 0

    def test_an_index_made_by_hand_is_known_before_anything_is_written(self, genres):
        archive = dumped()
        library.Author.objects.filter(pk=2).delete()
        with connection.cursor() as cursor:
            cursor.execute("CREATE UNIQUE INDEX one_name ON library_author (name)")
        try:
            done = load(archive)
            assert done.code == 4
            assert "name (by one_name, which no model declares) that must be unique" in done.err
            assert library.Author.objects.count() == 1
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP INDEX one_name")
        library.Author.objects.all().delete()
        library.Author.objects.bulk_create(
            [library.Author(pk=pk, name=name) for pk, name in ((1, "Ann"), (2, "Bea"))]
        )
        assert load(dumped()).code == 0

    def test_a_check_made_by_hand_is_known_before_anything_is_written(self, genres):
        archive = dumped()
        library.Author.objects.filter(pk=2).delete()
        execute("ALTER TABLE library_author ADD COLUMN bea integer CHECK (id = 1 OR name <> 'Ann')")
        try:
            done = load(archive)
            assert done.code == 4
            told = "library.Author: the constraint id = 1 OR name <> 'Ann' does not hold for 1 row."
            assert told in done.err
            assert library.Author.objects.count() == 1
        finally:
            execute("ALTER TABLE library_author DROP COLUMN bea")
        library.Author.objects.create(pk=2, name="Bea")
        assert load(dumped()).code == 0


def test_a_table_that_is_not_there_and_not_dumped_hinders_nothing(project):
    """As one of an application that was never migrated here."""
    with connection.schema_editor() as editor:
        editor.delete_model(library.Mark)
    try:
        assert run("diskette_dump").code == 0
        assert run("diskette_check", "--data").code == 0
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(library.Mark)


def test_natural_keys_that_are_not_unique(project, settings, monkeypatch):
    """9: two rows by one name; the cure is to refer to them by their keys."""
    both = [library.Publisher.objects.create(name=n, founded="1900-01-01") for n in "ab"]
    library.Series.objects.create(title="s", publisher=both[1])
    series = {"models": ["library.Publisher", "library.Series"], "natural_foreign": True}
    settings.DISKETTE_APPS = [["series", series]]
    monkeypatch.setattr(library.Publisher, "natural_key", lambda self: (self.founded,))
    (told,) = found("diskette_check", "--data")["natural-key"]
    assert (told["model"], told["count"], told["keys"]) == (
        "library.Publisher",
        2,
        [["1900-01-01"]],
    )
    done = run("diskette_dump", "--no-storages")
    assert done.code == 4
    assert "Remove 'natural_foreign' from 'series'" in done.err
    refused = load(done.last_line)
    assert refused.code == 4
    assert "not the only one of this natural key" in refused.err

    del series["natural_foreign"]
    assert run("diskette_dump", "--no-storages").code == 0
    assert load("latest").code == 0
    assert library.Series.objects.get().publisher == both[1]


def test_keys_that_only_generic_references_hold(project, settings):
    """9: rows are written without the keys that others refer to; the cure is to write them."""
    publishers = {"models": ["library.Publisher"], "natural_primary": True}
    settings.DISKETTE_APPS = [["publishers", publishers], ["notes", {"models": ["library.Note"]}]]
    publisher = library.Publisher.objects.create(pk=7, name="p")
    library.Note.objects.create(subject=publisher, text="x")
    (told,) = found("diskette_check", "--data")["natural-primary"]
    assert (told["model"], told["field"], told["keys"]) == ("library.Note", "subject", ["7"])
    assert "Remove 'natural_primary' from 'publishers'" in told["hint"]
    done = run("diskette_dump", "--no-storages")
    assert done.code == 4
    refused = load(done.last_line)
    assert refused.code == 4
    last = refused.err.strip().splitlines()[-1]
    assert "by key (7)" in last
    assert "remove 'natural_primary' from the definition of library.Publisher" in last

    del publishers["natural_primary"]
    assert run("diskette_dump", "--no-storages").code == 0
    library.Publisher.objects.all().delete()
    assert load("latest").code == 0
    assert library.Note.objects.get().subject.name == "p"


class TestFiles:
    """10: rows name files that are not there, and files that no row names."""

    @pytest.fixture
    def media(self, project, settings):
        settings.MEDIA_ROOT = project.media
        settings.DISKETTE_APPS = [["books", {"models": "library"}]]
        library.Book.objects.create(pk=1, title="a", isbn="1", cover="a.txt")
        library.Book.objects.create(pk=2, title="b", isbn="2", cover="covers/lost.png")
        library.Book.objects.create(pk=3, title="c", isbn="3")
        return project.media

    def test_both_are_told(self, media):
        told = found("diskette_check", "--data")
        (missing,) = told["file-missing"]
        assert (missing["model"], missing["field"], missing["keys"], missing["objects"]) == (
            "library.Book",
            "cover",
            ["covers/lost.png"],
            ["2"],
        )
        (loose,) = told["file-unnamed"]
        assert (loose["severity"], loose["count"], loose["keys"]) == ("info", 1, ["sub/b.txt"])
        assert found("diskette_dump")["file-missing"] == [missing]

    def test_the_cure_is_the_file(self, media):
        (media / "covers").mkdir()
        (media / "covers" / "lost.png").write_bytes(b"found")
        assert "file-missing" not in found("diskette_check", "--data")
        archive = run("diskette_dump").last_line
        (media / "covers" / "lost.png").unlink()
        assert load(archive).code == 0
        assert (media / "covers" / "lost.png").read_bytes() == b"found"

    def test_names_are_read_page_by_page(self, media, monkeypatch):
        monkeypatch.setattr("diskette.doctor.files.PAGE_ROWS", 2)
        library.Specimen.objects.bulk_create(
            [library.Specimen(pk=pk, file=f"lost-{pk}.png") for pk in range(1, 6)]
        )
        told = {each["model"]: each for each in found("diskette_check", "--data")["file-missing"]}
        assert told["library.Specimen"]["count"] == 5

    def test_a_directory_that_is_no_storage_is_named(self, media, project, settings):
        settings.DISKETTE_STORAGES = [project.media / "sub"]
        (missing,) = found("diskette_check", "--data")["file-missing"]
        assert missing["count"] == 2
        settings.DISKETTE_STORAGES = [project.base / "other"]
        (project.base / "other").mkdir()
        (missing,) = found("diskette_check", "--data")["file-missing"]
        assert f"Add Path({str(project.media)!r}) to DISKETTE_STORAGES" in missing["hint"]


def test_five_problems_are_five_findings_of_one_report(project, settings):
    settings.DISKETTE_APPS = [
        ["drafts", {"models": "library.Draft", "use_base_manager": False}],
        ["cities", {"models": ["library.City"]}],
        ["notes", {"models": ["library.Note"]}],
        ["loans", {"models": ["library.Loan", "library.Book"], "natural_foreign": True}],
    ]
    library.Draft.everything.create(title="h", hidden=True)
    country = library.Country.objects.create(name="x")
    library.City.objects.create(name="c", country=country)
    kind = ContentType.objects.create(app_label="legacy", model="poll")
    library.Note.objects.create(content_type=kind, object_id="1", text="x")
    with connection.constraint_checks_disabled():
        library.Loan.objects.create(book_id="none")
    done = run("diskette_check", "--data")
    assert done.code == 4
    for code in (
        "hidden-rows",
        "stale-contenttype",
        "uncovered-model",
        "warning [foreignkey-missing",
        "error [foreignkey-missing",
    ):
        assert code in done.out
    assert done.out.strip().splitlines()[-1].startswith("Definitions, rows and files: 1 error, ")
    library.Loan.objects.all().delete()


def test_an_archive_with_five_problems_is_refused_with_all_of_them(project, settings):
    settings.DISKETTE_APPS = [
        ["people", {"models": ["auth.User", "auth.Group"], "natural_foreign": True}],
        ["works", {"models": ["library.Author", "library.Book", "library.City"]}],
        ["notes", {"models": ["library.Note"], "natural_foreign": True}],
    ]
    kind = ContentType.objects.create(app_label="legacy", model="poll")
    right = Permission.objects.create(content_type=kind, codename="add_poll", name="x")
    User.objects.get().user_permissions.add(right)
    library.Note.objects.create(content_type=kind, object_id="1", text="x")
    library.Author.objects.bulk_create([library.Author(pk=pk, name="Ann") for pk in (1, 2)])
    with connection.constraint_checks_disabled():
        library.City.objects.create(name="c", country_id=99)
        execute("PRAGMA ignore_check_constraints = ON")
        library.Book.objects.create(title="t", price=-1)
        execute("PRAGMA ignore_check_constraints = OFF")
    archive = dumped()

    library.City.objects.all().delete()
    library.Book.objects.all().delete()
    library.Note.objects.all().delete()
    library.Author.objects.all().delete()
    kind.delete()
    execute("CREATE UNIQUE INDEX one_name ON library_author (name)")
    try:
        before = "\n".join(connection.connection.iterdump())
        refused = load(archive)
        after = "\n".join(connection.connection.iterdump())
    finally:
        execute("DROP INDEX one_name")
    assert refused.code == 4
    told = set(re.findall(r"^\s*error \[(.+?)\]", refused.err, re.MULTILINE))
    assert told == {
        "foreignkey-missing",
        "stale-contenttype",
        "stale-permission",
        "unique-conflict",
        "value-out-of-range",
    }
    assert without_bookkeeping(after) == without_bookkeeping(before)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def without_bookkeeping(statements: str) -> list[str]:
    ours = re.compile(r'"(?:diskette|django_celery_results)_|sqlite_sequence')
    return [line for line in statements.splitlines() if not ours.search(line)]


def test_definitions_that_are_wrong_are_findings_too(project, settings):
    settings.DISKETTE_APPS = [["a", {"models": "auth.user"}], ["b", {"model": "auth"}]]
    told = found("diskette_check")["configuration"]
    assert len(told) == 3
    assert run("diskette_check").code == 4


def test_a_storage_that_is_not_there_is_one_finding_among_others(project, settings):
    settings.DISKETTE_STORAGES = [project.base / "lost"]
    library.Mark.objects.create()
    told = found("diskette_check", "--data")
    assert "lost does not exist" in told["configuration"][0]["message"]
    assert told["uncovered-model"][0]["model"] == "library.Mark"


def test_definitions_alone_are_judged_without_a_database(project, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert run("diskette_check").code == 0
