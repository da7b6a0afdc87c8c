"""What is particular to loading into MariaDB and MySQL."""

from __future__ import annotations

import base64
import datetime as dt
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connections

from diskette.core.exceptions import ConfigurationError, DatabaseAway, DatabaseRefused
from diskette.core.report import Severity
from diskette.data import dump, soundness
from diskette.data.engines import mysql_staging
from tests.data.loading import Archive, Loading, staged_tables
from tests.library import models as library


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive(tmp_path)


@pytest.fixture(autouse=True)
def using(databases, mariadb, settings) -> str:
    settings.DISKETTE_DATABASE = mariadb
    return mariadb


def execute(using: str, sql: str, *values: object) -> list[tuple[object, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())


@contextmanager
def changed(using: str, column: str, kind: str) -> Iterator[None]:
    """A column of Specimen as people, or old migrations, have made it."""
    ((before,),) = execute(
        using,
        "SELECT column_type FROM information_schema.columns WHERE table_schema = database()"
        " AND table_name = 'library_specimen' AND column_name = %s",
        column,
    )
    modify = f"ALTER TABLE library_specimen MODIFY `{column}`"
    execute(using, f"{modify} {kind} NULL")
    try:
        yield
    finally:
        execute(using, f"{modify} {before} NULL")


def the_only(findings):
    (finding,) = findings
    return finding


def test_a_staging_that_was_half_made_is_made_on(archive, using):
    archive.write(library.Genre, {"pk": 1, "name": "a"})
    archive.write(library.Mark, {"pk": 1})
    loading = Loading(archive, using)
    loading.staging.create([library.Genre])
    engine = loading.staging.engine
    execute(using, f"DELETE FROM {engine.contents_table}")

    assert loading.load() == []

    assert library.Genre.objects.using(using).get().name == "a"
    assert staged_tables(using) == []


def test_names_of_staged_tables_are_short_enough(archive, using):
    engine = Loading(archive, using).staging.engine

    name = engine.named(f"rows_{'application' * 5}.{'model' * 9}").strip("`")

    assert len(name) <= 64
    assert re.match("diskette_[0-9a-f]{12}_rows_application", name)


class TestWhatAColumnCannotHold:
    @pytest.mark.parametrize(
        ("row", "field"),
        [
            ({"slug": "x" * 51}, "slug"),
            ({"slug": f"{'x' * 50} "}, "slug"),
            ({"small_integer": 40000}, "small_integer"),
            ({"positive_integer": -1}, "positive_integer"),
            ({"decimal": "1" * 21}, "decimal"),
            ({"decimal": "NaN"}, "decimal"),
            ({"float": "NaN"}, "float"),
            ({"float": "-Infinity"}, "float"),
            ({"float": -0.0}, "float"),
            ({"date": "infinity"}, "date"),
            ({"instant": "10000-01-01T00:00:00+00:00"}, "instant"),
            ({"uuid": "5cf48337-07df-e1ca-43cb-2c507b838fa0"}, "uuid"),
        ],
        ids=lambda value: value if isinstance(value, str) else repr(value)[-20:],
    )
    def test_is_told_with_its_row(self, archive, using, row, field):
        archive.write(library.Specimen, {"pk": 1}, {"pk": 2, **row}, {"pk": 3})

        finding = the_only(Loading(archive, using).stage().check())

        assert (finding.code, finding.severity) == ("value-out-of-range", Severity.ERROR)
        assert (finding.field, finding.objects, finding.count) == (field, (2,), 1)

    @pytest.mark.parametrize(
        ("column", "kind", "row"),
        [
            ("instant", "datetime", {"instant": "2026-01-01T00:00:00.5+00:00"}),
            ("time", "time(3)", {"time": "12:00:00.0005"}),
            ("text", "longtext CHARACTER SET utf8mb3", {"text": "a 😀"}),
            ("small_decimal", "decimal(6,2)", {"small_decimal": "1.005"}),
            ("binary", "tinyblob", {"binary": base64.b64encode(bytes(256)).decode()}),
        ],
        ids=["fraction", "shorter fraction", "four bytes", "places", "bytes"],
    )
    def test_is_what_the_live_column_cannot(self, archive, using, column, kind, row):
        archive.write(library.Specimen, {"pk": 1}, {"pk": 2, **row})

        with changed(using, column, kind):
            finding = the_only(Loading(archive, using).stage().check())

        assert (finding.code, finding.field) == ("value-out-of-range", column)
        assert finding.objects == (2,)

    def test_the_sites_own_mode_does_not_matter(self, archive, using):
        archive.write(library.Specimen, {"pk": 1, "slug": "x" * 51})
        execute(using, "SET SESSION sql_mode = ''")
        try:
            finding = the_only(Loading(archive, using).stage().check())
            assert execute(using, "SELECT @@SESSION.sql_mode") == [("",)]
        finally:
            connections[using].close()

        assert finding.field == "slug"

    def test_a_value_larger_than_a_packet_is_told(self, archive, using, monkeypatch):
        monkeypatch.setattr(mysql_staging.MySQLStaging, "_largest_packet", 4096)
        archive.write(library.Specimen, {"pk": 1}, {"pk": 2, "text": "x" * 4000})

        finding = the_only(Loading(archive, using).stage().check())

        assert (finding.field, finding.objects) == ("text", (2,))

    def test_a_time_that_the_clock_shows_twice(self, archive, using, monkeypatch):
        monkeypatch.setitem(connections[using].settings_dict, "TIME_ZONE", "Europe/Paris")
        archive.write(library.Specimen, {"pk": 1, "instant": "2026-10-25T01:30:00+00:00"})
        connections[using].__dict__.pop("timezone", None)
        connections[using].__dict__.pop("timezone_name", None)
        try:
            found = [Loading(archive, using).stage().check()]
            archive.write(library.Specimen, {"pk": 1, "instant": "2026-10-25T02:30:00+00:00"})
            found.append(Loading(archive, using).stage().check())
        finally:
            connections[using].__dict__.pop("timezone", None)
            connections[using].__dict__.pop("timezone_name", None)

        assert sum(len(each) for each in found) == 1

    def test_texts_that_its_collation_holds_equal(self, archive, using):
        archive.write(library.Genre, {"pk": 1, "name": "Crime"}, {"pk": 2, "name": "crime"})
        name = "ALTER TABLE library_genre MODIFY name varchar(50) COLLATE"
        execute(using, f"{name} utf8mb4_general_ci NOT NULL")
        try:
            finding = the_only(Loading(archive, using).stage().check())
        finally:
            execute(using, f"{name} utf8mb4_bin NOT NULL")

        assert (finding.code, finding.objects) == ("unique-conflict", (1, 2))


class TestWhatItHolds:
    def test_zero_as_a_key(self, archive, using):
        archive.write(library.Genre, {"pk": 0, "name": "none"}, {"pk": -1, "name": "less"})

        assert Loading(archive, using).load() == []

        rows = library.Genre.objects.using(using).order_by("pk")
        assert [genre.pk for genre in rows] == [-1, 0]

    def test_numbers_in_json_as_they_were_written(self, archive, using):
        archive.write(library.Specimen, {"pk": 1, "json": {"b": 1.10, "a": 2**80}})

        Loading(archive, using).stage().apply()

        assert execute(using, "SELECT json FROM library_specimen") == [
            ('{"b":1.1,"a":1208925819614629174706176}',)
        ]

    def test_a_uuid_in_a_column_older_than_its_type(self, archive, using):
        value = uuid.UUID(int=7)
        archive.write(library.Specimen, {"pk": 1, "uuid": str(value)})
        with changed(using, "uuid", "char(32)"):
            Loading(archive, using).stage().apply()
            assert execute(using, "SELECT uuid FROM library_specimen") == [(value.hex,)]
            execute(using, "DELETE FROM library_specimen")

    def test_the_last_microsecond_and_the_first_year(self, archive, using):
        row = {"time": "23:59:59.999999", "instant": "0001-01-01T00:00:00.000001+00:00"}
        archive.write(library.Specimen, {"pk": 1, **row, "date": "0001-01-01"})

        Loading(archive, using).stage().apply()

        found = library.Specimen.objects.using(using).get()
        assert (found.time, found.date) == (dt.time.max, dt.date.min)
        assert found.instant == dt.datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)


@contextmanager
def marks_in_myisam(using):
    execute(using, "CREATE TABLE kept LIKE library_mark")
    execute(using, "RENAME TABLE library_mark TO aside, kept TO library_mark")
    execute(using, "ALTER TABLE library_mark ENGINE=MyISAM")
    try:
        yield
    finally:
        execute(using, "DROP TABLE library_mark")
        execute(using, "RENAME TABLE aside TO library_mark")


def test_a_table_that_cannot_undo_is_refused_before_anything_is_written(archive, using):
    archive.write(library.Mark, {"pk": 1})
    with (
        marks_in_myisam(using),
        pytest.raises(ConfigurationError, match=r"library_mark \(MyISAM\).*ENGINE=InnoDB"),
    ):
        Loading(archive, using).stage()

    assert staged_tables(using) == []


def test_a_table_that_no_snapshot_holds_still_is_told(using):
    models = (library.Mark, library.Genre)
    assert list(soundness.unsteady(models, using)) == []
    with marks_in_myisam(using):
        (finding,) = soundness.unsteady(models, using)
    assert (finding.code, finding.model) == ("no-transactions", "library.Mark")
    assert f"library_mark in database {using!r} is of the engine MyISAM" in finding.message
    assert finding.hint.startswith("ALTER TABLE library_mark ENGINE=InnoDB;")
    assert list(soundness.unsteady(models, "default")) == []


class TestApplying:
    def test_nobody_writes_the_tables_meanwhile(self, archive, using):
        archive.write(library.Genre, {"pk": 1, "name": "a"})
        other = connections[using].copy()

        def write_elsewhere():
            with other.cursor() as cursor:
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
                with pytest.raises(OperationalError, match="Lock wait timeout"):
                    cursor.execute("INSERT INTO library_genre (name) VALUES ('late')")

        try:
            Loading(archive, using).stage().apply(mark=write_elsewhere)
        finally:
            other.close()

        assert library.Genre.objects.using(using).get().name == "a"

    def test_what_others_committed_since_it_began_may_not_dangle(self, archive, using):
        library.Country.objects.using(using).create(pk=1, name="old")
        archive.write(library.Country, {"pk": 2, "name": "new", "capital": None})
        loading, other = Loading(archive, using).stage(), connections[using].copy()
        began = []

        def write_elsewhere(execute, sql, params, many, context):
            if not began and sql.startswith("DELETE FROM"):
                began.append(sql)
                with other.cursor() as cursor:
                    cursor.execute("INSERT INTO library_city (name, country_id) VALUES ('c', 1)")
            return execute(sql, params, many, context)

        try:
            with (
                connections[using].execute_wrapper(write_elsewhere),
                pytest.raises(DatabaseRefused) as refused,
            ):
                loading.apply()
        finally:
            other.close()

        assert refused.value.table == "library_city"
        assert library.Country.objects.using(using).get().name == "old"

    def test_a_lock_that_is_held_is_worth_another_attempt(self, archive, using, monkeypatch):
        library.Genre.objects.using(using).create(pk=1, name="old")
        archive.write(library.Genre, {"pk": 1, "name": "new"})
        monkeypatch.setitem(mysql_staging.UNCHECKED, "innodb_lock_wait_timeout", 1)
        loading, other = Loading(archive, using).stage(), connections[using].copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("START TRANSACTION")
                cursor.execute("UPDATE library_genre SET name = 'held'")
                with pytest.raises(DatabaseAway, match="Lock wait timeout"):
                    loading.apply()
        finally:
            other.close()
        loading.apply()

        assert library.Genre.objects.using(using).get().name == "new"

    def test_a_connection_that_is_ended_is_worth_another_attempt(self, archive, using):
        library.Genre.objects.using(using).create(pk=1, name="old")
        archive.write(library.Genre, {"pk": 2, "name": "new"})
        ((number,),) = execute(using, "SELECT connection_id()")

        def end():
            other = connections[using].copy()
            try:
                with other.cursor() as cursor:
                    cursor.execute(f"KILL {number}")
            finally:
                other.close()
            execute(using, "SELECT 1")

        with pytest.raises(DatabaseAway):
            Loading(archive, using).stage().apply(mark=end)
        connections[using].close()

        assert library.Genre.objects.using(using).get().name == "old"

    def test_the_connection_is_as_it_was_afterwards(self, archive, using):
        names = "@@sql_mode, @@foreign_key_checks, @@lock_wait_timeout, @@innodb_lock_wait_timeout"
        before = execute(using, f"SELECT {names}")
        archive.write(library.Genre, {"pk": 1, "name": "a"})

        assert Loading(archive, using).load() == []

        assert execute(using, f"SELECT {names}") == before

    def test_a_merge_goes_by_the_primary_key_alone(self, archive, using):
        """A row of the same unique value and another key is no row to be changed."""
        library.Genre.objects.using(using).create(pk=1, name="a")
        archive.write(library.Genre, {"pk": 2, "name": "a"})

        with pytest.raises(DatabaseRefused, match="Duplicate entry"):
            Loading(archive, using, mode="merge").stage().apply()

        assert library.Genre.objects.using(using).get().pk == 1


def test_an_estimate_is_of_the_right_order(using):
    library.Mark.objects.using(using).bulk_create(library.Mark() for _ in range(5000))
    execute(using, "ANALYZE TABLE library_mark")

    estimate = dump.estimate([library.Mark], using)["library.Mark"]

    assert 2500 < estimate.rows < 10_000
    assert estimate.bytes > 50_000
