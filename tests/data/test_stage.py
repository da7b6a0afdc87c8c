"""Rows are staged beside the live ones, proven on the way, and gone when told so."""

from __future__ import annotations

from dataclasses import replace

import pytest
import zstandard
from django.contrib.auth.models import User

from diskette.core.exceptions import ForeignArchive, StagingLost, Stopped
from diskette.core.report import Severity
from diskette.data import stage
from tests.data.conftest import POSTGRESQL, SQLITE
from tests.data.loading import Archive, Loading, apply_elsewhere, nothing, traces
from tests.library import models as library

NAMES = [{"pk": pk, "name": f"genre {pk}"} for pk in range(1, 6)]


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive(tmp_path).write(library.Genre, *NAMES)


def the_only(findings):
    (finding,) = findings
    return finding


def test_the_report_counts_rows(archive, using):
    report = Loading(archive, using).stage().reports[library.Genre]

    assert (report.rows, report.findings) == (5, ())


def test_a_model_staged_again_takes_the_place_of_what_was_staged(archive, using):
    loading = Loading(archive, using).stage()
    archive.write(library.Genre, {"pk": 9, "name": "nine"})

    loading.stage()
    assert loading.check() == []
    loading.apply()

    assert [genre.pk for genre in library.Genre.objects.using(using).all()] == [9]


def test_another_process_goes_on_with_a_staging(archive, using, tmp_path):
    loading = Loading(archive, using).stage()

    assert apply_elsewhere(loading) == 0

    assert library.Genre.objects.using(using).count() == 5


def test_dropping_leaves_no_trace(archive, using, tmp_path):
    loading = Loading(archive, using).stage()
    assert traces(using, tmp_path)

    loading.drop()
    loading.drop()

    assert traces(using, tmp_path) == []


def test_a_staging_that_was_never_made_can_be_dropped(archive, using, tmp_path):
    Loading(archive, using).drop()

    assert traces(using, tmp_path) == []


def test_a_load_that_is_stopped_leaves_the_rows_staged_before(archive, using):
    loading = Loading(archive, using).stage()
    archive.write(library.Genre, *[{"pk": pk, "name": str(pk)} for pk in range(3000)])

    def stop(_):
        raise Stopped

    with pytest.raises(Stopped):
        loading.staging.load(
            library.Genre,
            archive.path(library.Genre),
            archive.entries[library.Genre],
            ignore_unknown=False,
            tick=stop,
        )
    loading.apply()

    assert library.Genre.objects.using(using).count() == 5


def test_ticks_come_often_and_sum_up(tmp_path, using):
    rows = [{"pk": pk, "name": str(pk)} for pk in range(1, 2501)]
    archive = Archive(tmp_path).write(library.Genre, *rows)
    loading, ticks = Loading(archive, using), []
    loading.staging.create([library.Genre])

    loading.staging.load(
        library.Genre,
        archive.path(library.Genre),
        archive.entries[library.Genre],
        ignore_unknown=False,
        tick=ticks.append,
    )

    assert ticks == [1000, 1000, 500]


class TestProof:
    def test_missing_rows_are_a_finding(self, archive, using):
        entry = archive.entries[library.Genre]
        archive.entries[library.Genre] = replace(entry, rows=7)

        finding = the_only(Loading(archive, using).stage().reports[library.Genre].findings)

        assert (finding.code, finding.model, finding.count) == (
            "row-count-mismatch",
            "library.Genre",
            2,
        )

    def test_other_rows_are_a_finding(self, archive, using):
        entry = archive.entries[library.Genre]
        archive.entries[library.Genre] = replace(entry, digest="0" * 64)

        finding = the_only(Loading(archive, using).stage().reports[library.Genre].findings)

        assert (finding.code, finding.severity) == ("digest-mismatch", Severity.ERROR)

    def test_a_line_that_is_no_row_names_the_line(self, archive, using):
        archive.path(library.Genre).write_bytes(zstandard.compress(b'{"pk":1,"fields":{}}\n{"pk'))

        with pytest.raises(ForeignArchive, match="line 2"):
            Loading(archive, using).stage()

    def test_a_changed_table_is_seen_afterwards(self, archive, using):
        loading = Loading(archive, using).stage().apply()
        assert loading.verify() == []

        library.Genre.objects.using(using).filter(pk=2).update(name="changed")
        finding = the_only(loading.verify())
        assert (finding.code, finding.objects, finding.field) == ("digest-mismatch", (2,), "name")
        assert finding.message.endswith("Rows differ in name.")

        library.Genre.objects.using(using).filter(pk=2).delete()
        finding = the_only(loading.verify())
        assert (finding.code, finding.objects, finding.field) == ("row-count-mismatch", (2,), None)


class TestUnknownFields:
    def test_they_are_a_finding_with_their_rows(self, tmp_path, using):
        rows = ({**row, "color": "red"} for row in NAMES)
        archive = Archive(tmp_path).write(library.Genre, *rows)

        finding = the_only(Loading(archive, using).stage().reports[library.Genre].findings)

        assert (finding.code, finding.severity, finding.field, finding.count, finding.objects) == (
            "unknown-field",
            Severity.ERROR,
            "color",
            5,
            (1, 2, 3, 4, 5),
        )

    def test_they_may_be_left_out(self, tmp_path, using):
        archive = Archive(tmp_path).write(library.Genre, {**NAMES[0], "color": "red"})

        loading = Loading(archive, using, ignore_unknown=True).stage()

        finding = the_only(loading.check())
        assert (finding.code, finding.severity) == ("unknown-field", Severity.WARNING)
        loading.apply()
        assert library.Genre.objects.using(using).get().name == "genre 1"


class TestMissingFields:
    def test_they_take_their_default(self, tmp_path, using):
        archive = Archive(tmp_path).write(library.Small, {"pk": 1})

        assert Loading(archive, using).stage().apply().drop() is None

        small = library.Small.objects.using(using).get()
        assert (small.name, small.color, small.size) == ("unnamed", "r", 1)

    def test_or_the_databases(self, tmp_path, using):
        archive = Archive(tmp_path).write(library.Specimen, {"pk": 1, "integer": 3})

        loading = Loading(archive, using).stage()
        assert loading.check() == []
        loading.apply()

        specimen = library.Specimen.objects.using(using).get()
        assert (specimen.integer, specimen.stamped.year) == (3, 2026)


class TestValuesThatDoNotFit:
    @pytest.mark.parametrize(
        ("model", "row", "field"),
        [
            (library.Specimen, {"big_integer": 2**63}, "big_integer"),
            (library.Specimen, {"instant": "2026-13-01T00:00:00+00:00"}, "instant"),
            (library.Specimen, {"uuid": "no uuid"}, "uuid"),
            (library.Specimen, {"small_decimal": "1.23456"}, "small_decimal"),
            (library.Specimen, {"boolean": "perhaps"}, "boolean"),
            (library.Specimen, {"integer": "many"}, "integer"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_no_engine_takes_them(self, tmp_path, using, model, row, field):
        archive = Archive(tmp_path).write(model, {"pk": 1}, {"pk": 2, **row}, {"pk": 3})

        finding = the_only(Loading(archive, using).stage().check())

        assert (finding.code, finding.field) == ("value-out-of-range", field)
        assert (finding.objects, finding.count) == ((2,), 1)

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            ({"slug": "x" * 51}, "slug"),
            ({"text": "a\0b"}, "text"),
            ({"small_integer": 40000}, "small_integer"),
            ({"decimal": "1" * 21}, "decimal"),
            ({"ip": "999.1.1.1"}, "ip"),
            ({"json": "a\0b"}, "json"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_postgresql_does_not_take_them(self, databases, tmp_path, row, field):
        rows = [{"pk": 1}, {"pk": 2, **row}, {"pk": 3}]
        archive = Archive(tmp_path).write(library.Specimen, *rows)

        finding = the_only(Loading(archive, POSTGRESQL).stage().check())

        assert (finding.code, finding.field) == ("value-out-of-range", field)
        assert (finding.objects, finding.count) == ((2,), 1)

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            ({"float": "nan"}, "float"),
            ({"decimal": "1234567890.1234567890"}, "decimal"),
            ({"date": "infinity"}, "date"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_sqlite_does_not_take_them(self, databases, tmp_path, row, field):
        archive = Archive(tmp_path).write(library.Specimen, {"pk": 1}, {"pk": 2, **row})

        finding = the_only(Loading(archive, SQLITE).stage().check())

        assert (finding.code, finding.field, finding.objects) == (
            "value-out-of-range",
            field,
            (2,),
        )

    def test_all_of_them_are_told(self, tmp_path, using):
        rows = [{"pk": pk, "big_integer": 2**63 + pk, "uuid": "?"} for pk in range(1, 1301)]
        archive = Archive(tmp_path).write(library.Specimen, *rows)

        big, identifier = sorted(Loading(archive, using).stage().check(), key=lambda f: f.field)

        assert (big.field, big.count, len(big.keys)) == ("big_integer", 1300, 10)
        assert (identifier.field, identifier.count) == ("uuid", 1300)

    def test_several_in_one_row_are_told_each(self, databases, tmp_path):
        row = {"slug": "x" * 60, "small_integer": 2**20, "text": "\0"}
        archive = Archive(tmp_path).write(library.Specimen, {"pk": 1, **row})

        found = Loading(archive, POSTGRESQL).stage().check()

        assert sorted(finding.field for finding in found) == ["slug", "small_integer", "text"]

    def test_one_that_may_not_be_null_is_told_once(self, databases, tmp_path):
        archive = Archive(tmp_path).write(library.Genre, {"pk": 1, "name": "x" * 51})

        finding = the_only(Loading(archive, POSTGRESQL).stage().check())

        assert (finding.code, finding.field) == ("value-out-of-range", "name")


class TestLostRows:
    """PostgreSQL empties unlogged tables after a crash: that must never look like an archive."""

    def test_a_check_sees_it(self, archive, using):
        loading = Loading(archive, using).stage()
        _lose_rows(loading)

        with pytest.raises(StagingLost, match="library_genre"):
            loading.check()

    def test_nothing_is_applied(self, archive, using):
        library.Genre.objects.using(using).create(pk=77, name="live")
        loading = Loading(archive, using).stage()
        _lose_rows(loading)

        with pytest.raises(StagingLost):
            loading.apply()

        assert [genre.pk for genre in library.Genre.objects.using(using).all()] == [77]

    def test_a_model_that_was_never_loaded_is_seen(self, archive, using):
        loading = Loading(archive, using)
        loading.staging.create([library.Genre])

        with pytest.raises(StagingLost):
            loading.apply()


def _lose_rows(loading: Loading) -> None:
    engine = loading.staging.engine
    with engine.opened(writing=True):
        engine.execute(f"DELETE FROM {engine.staged(library.Genre)}")


def test_a_database_that_archives_cannot_be_loaded_into_is_named(archive, using, monkeypatch):
    monkeypatch.setattr(stage, "ENGINES", {})

    with pytest.raises(stage.ConfigurationError, match=using):
        Loading(archive, using).stage()
    Loading(archive, using).drop()


def test_users_of_the_project_are_rows_like_others(tmp_path, using):
    User(username="ann", password="!").save(using=using)
    archive = Archive(tmp_path).dump(using, [User])
    User.objects.using(using).update(username="other")

    loading = Loading(archive, using).stage()
    assert loading.check() == []
    loading.apply(mark=nothing)

    assert User.objects.using(using).get().username == "ann"
