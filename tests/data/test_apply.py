"""One transaction makes the staged rows live, or nothing does."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import contextmanager

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connections, models, transaction

from diskette.core.exceptions import DatabaseAway, DatabaseRefused, Stopped
from diskette.data.apply import apply
from tests.data.conftest import POSTGRESQL, SQLITE
from tests.data.loading import (
    Archive,
    Loading,
    all_models,
    apply_elsewhere,
    contents,
    nothing,
    snapshot,
)
from tests.library import models as library
from tests.library import samples


@pytest.fixture
def archive(tmp_path) -> Archive:
    archive = Archive(tmp_path)
    archive.write(library.Genre, *[{"pk": pk, "name": f"new {pk}"} for pk in (3, 4, 5)])
    return archive


@pytest.fixture
def live(using) -> models.QuerySet:
    rows = library.Genre.objects.using(using)
    rows.create(pk=1, name="old")
    return rows.order_by("pk").values_list("pk", "name")


OLD = [(1, "old")]
NEW = [(3, "new 3"), (4, "new 4"), (5, "new 5")]


AFTER_THE_COMMIT = (
    "PRAGMA",
    "DETACH",
    "SET SESSION",
    "SELECT release_lock",
    "SELECT table_name FROM information_schema",
    "ALTER TABLE `library_genre` AUTO_INCREMENT",
)
HANDMADE_INDEX = {
    "sqlite": ("library_genre (substr(name, 1, 3))", ""),
    "postgresql": ("library_genre (substr(name, 1, 3))", ""),
    "mysql": ("library_genre (name(3))", "ON library_genre"),
}
"""What a unique index is on, and what has to be said to drop it."""


def vendor(using: str) -> str:
    return connections[using].vendor


def execute(using: str, sql: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(sql)


class TestTheMark:
    def test_is_the_last_statement_of_the_transaction(self, archive, using, live):
        loading, seen = Loading(archive, using).stage(), []

        def mark():
            assert connections[using].in_atomic_block
            seen.extend(live)
            User(username="mark", password="!").save(using=using)

        with connections[using].execute_wrapper(recorder := _Recorder()):
            loading.apply(mark=mark)

        assert seen == NEW
        assert User.objects.using(using).filter(username="mark").exists()
        after = recorder.statements[recorder.position("INSERT INTO", "auth_user") + 1 :]
        assert [each for each in after if not each.startswith(AFTER_THE_COMMIT)] == []

    @pytest.mark.parametrize("error", [Stopped, KeyError], ids=["stopped", "failed"])
    def test_that_fails_undoes_everything(self, archive, using, live, error):
        def mark():
            raise error

        with pytest.raises(error):
            Loading(archive, using).stage().apply(mark=mark)

        assert list(live) == OLD

    def test_of_another_database_is_made_when_the_rows_are_there(
        self, databases, settings, archive
    ):
        settings.DISKETTE_DATABASE = SQLITE

        def mark():
            User(username="mark", password="!").save(using=SQLITE)
            raise Stopped

        with pytest.raises(Stopped):
            Loading(archive, POSTGRESQL).stage().apply(mark=mark)

        assert not User.objects.using(SQLITE).exists()
        assert not library.Genre.objects.using(POSTGRESQL).exists()


class _Recorder:
    def __init__(self) -> None:
        self.statements: list[str] = []

    def __call__(self, run, sql, params, many, context):
        self.statements.append(str(sql))
        return run(sql, params, many, context)

    def position(self, *words: str) -> int:
        return max(
            index
            for index, statement in enumerate(self.statements)
            if all(word in statement for word in words)
        )


def test_a_step_that_must_end_ends(archive, using, live):
    def tick(_):
        raise Stopped

    with pytest.raises(Stopped):
        Loading(archive, using).stage().apply(tick=tick)

    assert list(live) == OLD


def test_ticks_count_the_rows_written(archive, using):
    ticks = []
    Loading(archive, using).stage().apply(tick=ticks.append)

    assert sum(ticks) == 3


def test_it_begins_its_transaction_itself(archive, using):
    loading = Loading(archive, using).stage()

    with pytest.raises(transaction.TransactionManagementError), transaction.atomic(using=using):
        loading.apply()


def test_two_databases_are_applied_together(databases, settings, archive, tmp_path):
    settings.DISKETTE_DATABASE = POSTGRESQL
    loadings = [Loading(archive, using).stage() for using in (SQLITE, POSTGRESQL)]
    stagings = {loading.staging: loading.models for loading in loadings}

    def refuse():
        raise Stopped

    with pytest.raises(Stopped):
        apply(stagings, mode="replace", mark=refuse, tick=nothing)
    assert [library.Genre.objects.using(each).count() for each in databases] == [0, 0]

    apply(stagings, mode="replace", mark=nothing, tick=nothing)
    assert [library.Genre.objects.using(each).count() for each in databases] == [3, 3]


class TestRefusals:
    """Rules that Django does not know of."""

    def test_a_trigger_is_named(self, archive, using, live):
        with _trigger(using), pytest.raises(DatabaseRefused) as refused:
            Loading(archive, using).stage().apply()

        assert refused.value.table == "library_genre"
        assert "no new genres" in str(refused.value)
        assert list(live) == OLD

    def test_a_unique_index_is_named(self, archive, using, live):
        place, dropping = HANDMADE_INDEX[vendor(using)]
        execute(using, f"CREATE UNIQUE INDEX handmade ON {place}")
        try:
            with pytest.raises(DatabaseRefused) as refused:
                Loading(archive, using).stage().apply()
        finally:
            execute(using, f"DROP INDEX handmade {dropping}")

        assert "handmade" in str(refused.value)
        assert list(live) == OLD

    def test_a_table_of_no_application_that_refers_to_the_rows(self, archive, using, live):
        late = "" if vendor(using) == "mysql" else " DEFERRABLE INITIALLY DEFERRED"
        execute(
            using,
            f"CREATE TABLE foreign_table (genre bigint REFERENCES library_genre (id){late})",
        )
        try:
            execute(using, "INSERT INTO foreign_table VALUES (1)")
            with pytest.raises(DatabaseRefused) as refused:
                Loading(archive, using).stage().apply()
            assert "foreign_table" in str(refused.value)
            assert list(live) == OLD
        finally:
            execute(using, "DROP TABLE foreign_table")

    def test_what_dangled_before_is_not_held_against_the_load(self, archive, databases, settings):
        settings.DISKETTE_DATABASE = SQLITE
        connection = connections[SQLITE]
        connection.disable_constraint_checking()
        library.Odd.objects.using(SQLITE).create(order=1, size=1, select_id=99)
        connection.enable_constraint_checking()

        loading = Loading(archive, SQLITE).stage()
        assert loading.check() == []
        loading.apply()

        assert library.Genre.objects.using(SQLITE).count() == 3

    def test_constraints_are_on_again_afterwards(self, archive, databases, settings):
        settings.DISKETTE_DATABASE = SQLITE
        loading = Loading(archive, SQLITE).stage().apply()
        with _trigger(SQLITE), pytest.raises(DatabaseRefused):
            loading.apply()

        connection = connections[SQLITE]
        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)
            names = [name for _, name, _ in cursor.execute("PRAGMA database_list").fetchall()]
        assert set(names) <= {"main", "temp"}
        assert connection.transaction_mode is None


TRIGGERS = {
    "sqlite": "CREATE TRIGGER handmade BEFORE INSERT ON library_genre"
    " BEGIN SELECT raise(ABORT, 'no new genres'); END",
    "postgresql": "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'no new genres'; END $$;"
    " CREATE TRIGGER handmade BEFORE INSERT ON library_genre"
    " FOR EACH ROW EXECUTE FUNCTION refuse()",
    "mysql": "CREATE TRIGGER handmade BEFORE INSERT ON library_genre FOR EACH ROW"
    " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no new genres'",
}
UNTRIGGERED = {
    "sqlite": "DROP TRIGGER handmade",
    "postgresql": "DROP TRIGGER handmade ON library_genre; DROP FUNCTION refuse()",
    "mysql": "DROP TRIGGER handmade",
}


@contextmanager
def _trigger(using: str):
    execute(using, TRIGGERS[vendor(using)])
    try:
        yield
    finally:
        execute(using, UNTRIGGERED[vendor(using)])


class TestCascadesOfTheDatabase:
    """ON DELETE CASCADE, which Django's own keys do not have, must not reach rows that stay."""

    @pytest.fixture
    def follower(self, using):
        execute(
            using,
            "CREATE TABLE follower (genre bigint REFERENCES library_genre (id) ON DELETE CASCADE)",
        )
        yield
        execute(using, "DROP TABLE follower")

    def count(self, using: str) -> int:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM follower")
            return cursor.fetchone()[0]

    def test_they_do_not_where_the_row_comes_back(self, archive, using, live, follower):
        library.Genre.objects.using(using).create(pk=3, name="three")
        execute(using, "INSERT INTO follower VALUES (3)")

        Loading(archive, using).stage().apply()

        assert list(live) == NEW
        assert self.count(using) == 1


class TestSequences:
    def test_new_rows_get_keys_of_their_own(self, archive, using, live):
        Loading(archive, using).stage().apply()

        assert library.Genre.objects.using(using).create(name="next").pk == 6

    def test_an_emptied_table_begins_anew(self, tmp_path, using, live):
        library.Genre.objects.using(using).create(pk=41, name="high")
        Loading(Archive(tmp_path).write(library.Genre), using).stage().apply()

        assert library.Genre.objects.using(using).create(name="first").pk == 1

    def test_through_tables_and_small_keys_go_on_too(self, tmp_path, using):
        archive = Archive(tmp_path).write(library.Small, {"pk": 7})
        archive.write(library.Odd, {"pk": 9, "order": 1, "size": 1.5})
        archive.write(library.Mark, {"pk": 1})
        archive.write(library.Odd.marks.through, {"pk": 20, "odd": 9, "mark": 1})
        Loading(archive, using).stage().apply()

        odd = library.Odd.objects.using(using).create(order=1, size=1)
        assert odd.pk == 10
        assert library.Small.objects.using(using).create().pk == 8
        odd.marks.add(library.Mark.objects.using(using).get())
        newest = library.Odd.marks.through.objects.using(using).order_by("-pk")[0]
        assert newest.pk == 21

    def test_a_merge_never_steps_back(self, archive, using):
        rows = library.Genre.objects.using(using)
        high = rows.create(pk=100, name="high")
        execute(using, _advance(using))
        high.delete()

        Loading(archive, using, mode="merge").stage().apply()

        assert rows.create(name="next").pk > 100

    def test_a_load_that_fails_leaves_them(self, archive, using):
        rows = library.Genre.objects.using(using)
        for number in range(5):
            last = rows.create(name=str(number)).pk

        def refuse():
            raise Stopped

        empty = Archive(archive.directory).write(library.Genre)
        with pytest.raises(Stopped):
            Loading(empty, using).stage().apply(mark=refuse)

        assert rows.create(name="next").pk == last + 1

    def test_an_identity_that_is_always_generated_is_written(self, archive, databases, settings):
        settings.DISKETTE_DATABASE = POSTGRESQL
        column = "ALTER TABLE library_genre ALTER COLUMN id SET GENERATED"
        execute(POSTGRESQL, f"{column} ALWAYS")
        try:
            Loading(archive, POSTGRESQL).stage().apply()
            Loading(archive, POSTGRESQL, mode="merge").stage().apply()
        finally:
            execute(POSTGRESQL, f"{column} BY DEFAULT")

        assert library.Genre.objects.using(POSTGRESQL).create(name="next").pk == 6


def _advance(using: str) -> str:
    if vendor(using) == "postgresql":
        return "SELECT setval(pg_get_serial_sequence('library_genre', 'id'), 100)"
    return "SELECT 1"


class TestForeignKeysAndIndexesOfEmptyTables:
    """They are set aside while rows are written, and back at the end."""

    def test_they_are_as_they_were(self, tmp_path, databases, settings):
        settings.DISKETTE_DATABASE = POSTGRESQL
        samples.fill(SQLITE)
        chosen = all_models(SQLITE, POSTGRESQL)
        loading = Loading(Archive(tmp_path).dump(SQLITE, chosen), POSTGRESQL).stage()
        before = _foreign_keys(), _indexes()
        loading.check()

        loading.apply()
        assert (_foreign_keys(), _indexes()) == before
        loading.apply()
        assert (_foreign_keys(), _indexes()) == before

    def test_they_hold_what_was_written(self, tmp_path, databases, settings):
        settings.DISKETTE_DATABASE = POSTGRESQL
        archive = Archive(tmp_path).write(library.Country)
        archive.write(library.City, {"pk": 1, "name": "c", "country": 9})

        with pytest.raises(DatabaseRefused) as refused:
            Loading(archive, POSTGRESQL).stage().apply()

        assert refused.value.table == "library_city"
        assert "(9)" in str(refused.value)
        assert not library.City.objects.using(POSTGRESQL).exists()

    def test_an_index_that_sql_alone_cannot_bring_back_stays(self, tmp_path, databases, settings):
        settings.DISKETTE_DATABASE = POSTGRESQL
        archive = Archive(tmp_path).write(library.Genre, {"pk": 1, "name": "g"})
        execute(POSTGRESQL, "CREATE INDEX told ON library_genre (name) WITH (fillfactor = 70)")
        execute(POSTGRESQL, "CREATE INDEX plain ON library_genre (name) WITH (fillfactor = 70)")
        execute(POSTGRESQL, "COMMENT ON INDEX told IS 'for the search'")
        try:
            kept, anew, definition = _index("told"), _index("plain"), _index("plain")[1]
            Loading(archive, POSTGRESQL).stage().apply()

            assert _index("told") == kept
            assert _index("plain") != anew
            assert _index("plain")[1] == definition
        finally:
            execute(POSTGRESQL, "DROP INDEX told, plain")


def _index(name: str) -> tuple:
    """Its number, which only the same index keeps, and its definition."""
    with connections[POSTGRESQL].cursor() as cursor:
        cursor.execute("SELECT %s::regclass::oid, pg_get_indexdef(%s::regclass)", [name, name])
        return cursor.fetchone()


def _indexes() -> list:
    with connections[POSTGRESQL].cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid"
            " FROM pg_index WHERE indrelid::regclass::text LIKE 'library%' ORDER BY 1"
        )
        return cursor.fetchall()


def _foreign_keys() -> list:
    with connections[POSTGRESQL].cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated"
            " FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 2"
        )
        return cursor.fetchall()


class TestOthersMeanwhile:
    def test_readers_see_the_old_rows_until_the_commit(self, archive, using, live):
        seen = []

        def mark():
            seen.extend(_read_elsewhere(using))

        Loading(archive, using).stage().apply(mark=mark)

        assert seen == OLD
        assert list(live) == NEW

    def test_a_writer_that_does_not_let_go_is_worth_another_attempt(
        self, archive, databases, settings
    ):
        settings.DISKETTE_DATABASE = SQLITE
        connection = connections[SQLITE]
        connection.connection.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        loading = Loading(archive, SQLITE).stage()
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(DatabaseAway, match="locked"):
                loading.apply()
        finally:
            other.close()
        loading.apply()

        assert library.Genre.objects.using(SQLITE).count() == 3

    def test_the_staging_is_only_read(self, archive, databases, settings):
        settings.DISKETTE_DATABASE = SQLITE
        loading = Loading(archive, SQLITE).stage()
        (file,) = archive.directory.glob("staging-*")
        before = file.read_bytes()

        loading.apply()

        assert file.read_bytes() == before

    def test_a_server_that_goes_away_is_worth_another_attempt(self, archive, databases, settings):
        settings.DISKETTE_DATABASE = POSTGRESQL
        library.Genre.objects.using(POSTGRESQL).create(pk=1, name="old")
        loading = Loading(archive, POSTGRESQL).stage()

        with pytest.raises(DatabaseAway):
            loading.apply(mark=_terminate)
        connections[POSTGRESQL].close()

        assert contents(library.Genre, POSTGRESQL) == OLD


def _terminate() -> None:
    """End the server's process for this connection, from another, and use it once more."""
    pid = connections[POSTGRESQL].connection.info.backend_pid
    with _connected(POSTGRESQL) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    execute(POSTGRESQL, "SELECT 1")


def _connected(using: str):
    place = connections[using].settings_dict
    return psycopg.connect(
        host=place["HOST"],
        port=place["PORT"],
        user=place["USER"],
        password=place["PASSWORD"],
        dbname=place["NAME"],
    )


def _read_elsewhere(using: str) -> list:
    connection = connections[using].copy()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, name FROM library_genre ORDER BY id")
            return list(cursor.fetchall())
    finally:
        connection.close()


class TestKilled:
    """`kill -9` of the applying process before one of its statements."""

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 1.0])
    def test_anywhere_before_the_commit_leaves_the_old_rows(self, tmp_path, using, share):
        loading, old, _ = self.prepared(tmp_path, using)
        at = max(1, round(self.statements(loading) * share))

        assert apply_elsewhere(loading, kill_at=at) == -signal.SIGKILL

        assert snapshot(using, loading.models) == old
        self.assert_keys_do_not_collide(using)

    def test_after_it_leaves_the_new_ones(self, tmp_path, using):
        loading, _, new = self.prepared(tmp_path, using)

        assert apply_elsewhere(loading, kill_after=True) == -signal.SIGKILL

        assert snapshot(using, loading.models) == new
        self.assert_keys_do_not_collide(using)

    def test_one_that_was_cut_off_may_be_repeated(self, tmp_path, using):
        loading, _, new = self.prepared(tmp_path, using)
        apply_elsewhere(loading, kill_at=round(self.statements(loading) * 0.7))

        loading.apply()

        assert snapshot(using, loading.models) == new

    def prepared(self, tmp_path, using):
        """A staged archive of the whole library, over rows that were changed since."""
        samples.fill(using)
        chosen = all_models(using)
        new = snapshot(using, chosen)
        loading = Loading(Archive(tmp_path).dump(using, chosen), using).stage()
        loading.check()
        library.Genre.objects.using(using).update(name="changed")
        for number in range(5):
            library.Author.objects.using(using).create(name=f"late {number}")
        return loading, snapshot(using, chosen), new

    def statements(self, loading: Loading) -> int:
        """How many an apply takes, its mark's the last of them, counted by one that is undone."""

        def refuse():
            counts.append(len(recorder.statements) + 1)
            raise Stopped

        counts: list[int] = []
        recording = connections[loading.using].execute_wrapper(recorder := _Recorder())
        with recording, pytest.raises(Stopped):
            loading.apply(mark=refuse)
        return counts[0]

    def assert_keys_do_not_collide(self, using: str) -> None:
        library.Author.objects.using(using).create(name="next")
        library.Genre.objects.using(using).create(name="next")
