"""Archives of older releases: loaded, they are what migrating their own database gives."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests import servers
from tests.older.conftest import changed, loaded, messages, picture

pytestmark = pytest.mark.services

STATES = (
    *(("sqlite", state) for state in ("0002_title", "0002_squashed_0003_names", "0005_colour")),
    *((engine, "0001_initial") for engine in ("sqlite", "postgresql", "mariadb")),
)


@pytest.mark.parametrize(("engine", "state"), STATES)
def test_rows_are_what_migrating_their_database_gives(older, tmp_path, engine, state):
    archive, expected = older.archive(engine, tmp_path, state=state)
    here = older.here(engine)
    code, told = loaded(here, archive, "--no-input", "--no-safety-dump")
    assert code == 0, messages(told)
    assert "loadable, carried forward by notes.0003_body, store.0" in messages(told)
    assert picture(here) == expected
    assert not list((here.archives / ".diskette").glob("*-*"))


def test_a_check_tells_what_migrations_deleted_or_made(older, tmp_path):
    archive, _ = older.archive("sqlite", tmp_path)
    here = older.here("sqlite")
    before = picture(here)
    code, told = loaded(here, archive, "--check")
    assert code == 0, messages(told)
    assert picture(here) == before
    assert "store.Coupon: left out with 1 row: migrations deleted the model." in messages(told)
    assert "store.Colour: 2 rows made by migrations, to replace those here" in messages(told)


def test_a_part_is_loaded_by_the_names_that_the_archive_has(older, tmp_path):
    """The migrations see all of it: colours are made of products that are not loaded."""
    archive, expected = older.archive("sqlite", tmp_path)
    here = older.here("sqlite")
    before = picture(here)
    code, told = loaded(here, archive, "--no-input", "--no-safety-dump", "--app", "notes")
    assert code == 0, messages(told)
    assert picture(here) == before | {"notes.Note": expected["notes.Note"]}
    code, told = loaded(here, archive, "--no-input", "--no-safety-dump", "--model", "store.Order")
    assert code == 0, messages(told)
    after = picture(here)
    assert after["store.Purchase"] == expected["store.Purchase"]
    assert after["store.Customer"] == expected["store.Customer"]
    assert after["store.Tag"] == before["store.Tag"]


def test_natural_keys_are_those_of_todays_code(older, tmp_path):
    """Migrations know no methods: which user is called ada, only the code of today can say."""

    def named(fields):
        fields["owner"] = fields["owner"] and ["ada"]

    archive, expected = older.archive("sqlite", tmp_path, "--natural")
    natural = changed(archive, tmp_path / "m", "store.Product", named, natural_foreign=True)
    here = older.here("sqlite")
    code, told = loaded(here, natural, "--no-input", "--no-safety-dump")
    assert code == 0, messages(told)
    assert picture(here) == expected


# What cannot be carried


def test_an_archive_ahead_of_the_code_names_the_release_to_install(older, tmp_path):
    archive, _ = older.archive("sqlite", tmp_path, "--notes-recorded", "0009_later")
    code, told = loaded(older.here("sqlite"), archive, "--check")
    assert code == 4
    hints = [each["hint"] for each in told["findings"] if each["code"] == "migration-mismatch"]
    assert any("Update the code first" in hint and "notes.0009_later" in hint for hint in hints)


def test_a_state_within_a_squashed_migration_is_gone_with_its_parts(older, tmp_path):
    archive, _ = older.archive("sqlite", tmp_path, "--notes-recorded", "0001_initial")
    code, told = loaded(older.here("sqlite"), archive, "--check")
    assert code == 4
    assert "impossible, because" in messages(told)
    assert "notes.0001_initial lies within notes.0001_squashed_0002_text" in messages(told)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_migration_that_fails_is_named_with_its_reason(older, tmp_path, engine):
    archive, _ = older.archive(engine, tmp_path, "--long-name")
    here = older.here(engine)
    before = picture(here)
    code, told = loaded(here, archive, "--no-input", "--no-safety-dump")
    assert code == 1
    assert "The migration store.0002_squashed_0003_names failed on a scratch" in messages(told)
    assert "too long" in messages(told)
    assert picture(here) == before


def test_all_rows_that_cannot_stand_in_their_own_tables_are_told_at_once(older, tmp_path):
    def broken(fields):
        fields["email"] = "one@example.org"
        fields["full_name"] = None
        fields["colour"] = "red"

    archive, _ = older.archive("sqlite", tmp_path)
    bad = changed(archive, tmp_path / "m", "store.Customer", broken)
    here = older.here("sqlite")
    before = picture(here)
    for option in ("--check", "--no-input"):
        code, told = loaded(here, bad, option)
        assert code == 4, messages(told)
        codes = {each["code"] for each in told["findings"] if each["severity"] == "error"}
        assert codes == {"unknown-field", "null-conflict", "unique-conflict"}
        assert picture(here) == before


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_drill_proves_that_an_older_archive_can_be_carried(older, tmp_path, engine):
    archive, _ = older.archive(engine, tmp_path, "--natural")
    here = older.here(engine)
    before = picture(here)
    with given(engine) as variables:
        there = replace(here, variables={**here.variables, **variables})
        done = there.run("diskette_verify", str(archive), "--drill", "--format", "json")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "carried forward by notes.0003_body" in done.stdout
    assert picture(here) == before


@contextmanager
def given(engine):
    """The one scratch database that the owner of a server may have made."""
    if engine == "sqlite":
        yield {}
        return
    with servers.postgres_database() as url:
        yield {"TEST_SCRATCH_URL": url}


def test_workers_carry_rows_forward(older, tmp_path, private_redis):
    archive, expected = older.archive("sqlite", tmp_path)
    here = replace(older.here("sqlite"), broker_url=private_redis.url)
    with here.worker():
        load = ("diskette_load", str(archive), "--no-input", "--no-safety-dump")
        done = here.run(*load, "--enqueue", "--wait")
    assert done.returncode == 0, done.stderr
    assert picture(here) == expected
