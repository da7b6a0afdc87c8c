"""Of a damaged archive a load takes what is whole, if it is told to, and lists what is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

import diskette
from diskette.core.archive import SUMS_NAME
from diskette.core.tar import BLOCK_BYTES
from diskette.models import Archive, Run
from tests.commands.conftest import run
from tests.commands.test_verify import flip, member_of, overwrite, place_of
from tests.storages.trees import look

pytestmark = pytest.mark.django_db(transaction=True)

NOISE = Random(3).randbytes(20_000)


@pytest.fixture
def archive(project) -> Path:
    """With files that do not shrink, one of them under two names."""
    for name in ("m.bin", "n.bin", "o.bin"):
        (project.media / name).write_bytes(name.encode() + NOISE)
    (project.media / "other.bin").hardlink_to(project.media / "n.bin")
    return Path(run("diskette_dump").last_line)


@pytest.fixture
def later(project, archive) -> None:
    """The site goes on: rows and files have changed since the dump."""
    User.objects.update(username="grace")
    Group.objects.update(name="writers")
    for path in project.media.glob("*.bin"):
        path.write_bytes(b"changed since")
    (project.media / "new.txt").write_text("new")


def salvaged(archive: Path, *words: str) -> tuple[int, dict]:
    done = run("diskette_load", str(archive), "--no-input", "--salvage", "--format", "json", *words)
    return done.code, json.loads(done.out)


def left_out(shape: dict) -> list[dict]:
    return [each for each in shape["findings"] if each["code"] == "not-salvaged"]


def break_file(archive: Path, name: bytes) -> None:
    flip(archive, archive.read_bytes().index(name + NOISE[:16]) + 9000)


@contextmanager
def refusing(table: str) -> Iterator[None]:
    """A trigger refuses every new row of a table."""
    make = f"CREATE TRIGGER handmade BEFORE INSERT ON {table}"
    execute(f"{make} BEGIN SELECT RAISE(ABORT, 'none of these'); END")
    try:
        yield
    finally:
        execute("DROP TRIGGER handmade")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.usefixtures("later")
def test_without_being_told_it_refuses_and_says_how(project, archive):
    flip(archive, place_of(archive, member_of(archive, "auth.Group")) + 20)

    done = run("diskette_load", str(archive), "--no-input")

    assert done.code == 1
    assert "diskette_load ARCHIVE --salvage" in Run.objects.first().all_findings[0].hint
    assert User.objects.get().username == "grace"
    assert (project.media / "new.txt").exists()


@pytest.mark.usefixtures("later")
def test_a_model_that_is_damaged_stays_as_it_is_and_the_others_come_back(project, archive):
    flip(archive, place_of(archive, member_of(archive, "auth.Group")) + 20)
    Group.objects.update(name="editors")
    Group.objects.create(name="made since")

    code, shape = salvaged(archive)

    assert (code, shape["state"]) == (0, "succeeded")
    assert User.objects.get().username == "ada"
    assert [group.name for group in User.objects.get().groups.all()] == ["editors"]
    assert Group.objects.filter(name="made since").exists()
    (finding,) = left_out(shape)
    assert (finding["model"], finding["count"], finding["severity"]) == ("auth.Group", 1, "warning")
    assert (project.media / "n.bin").read_bytes() == b"n.bin" + NOISE
    assert not (project.media / "new.txt").exists()
    assert not Archive.objects.exclude(proven_at=None).exists()
    assert project.left_over() == []


@pytest.mark.usefixtures("later")
def test_references_to_what_was_left_out_are_checked_against_what_is_here(project, archive):
    flip(archive, place_of(archive, member_of(archive, "auth.Group")) + 20)
    Group.objects.all().delete()

    code, shape = salvaged(archive)

    assert code == 4
    (finding,) = [each for each in shape["findings"] if each["code"] == "foreignkey-missing"]
    assert (finding["model"], finding["target"]) == ("auth.User_groups", "auth.Group")
    assert (finding["keys"], finding["count"]) == ([["editors"]], 1)
    assert "--model auth.Group" in finding["hint"]
    assert User.objects.get().username == "grace"
    assert (project.media / "new.txt").exists()


@pytest.mark.usefixtures("later")
def test_files_that_are_whole_come_back_and_no_live_one_is_lost(project, archive):
    break_file(archive, b"n.bin")

    code, shape = salvaged(archive)

    assert (code, shape["state"]) == (0, "succeeded")
    (finding,) = left_out(shape)
    assert finding["keys"] == ["n.bin", "other.bin"]
    assert finding["count"] == 2
    found = {path.name: path.read_bytes() for path in project.media.iterdir() if path.is_file()}
    assert found == {
        "a.txt": b"a",
        "m.bin": b"m.bin" + NOISE,
        "n.bin": b"changed since",
        "o.bin": b"o.bin" + NOISE,
        "other.bin": b"changed since",
        "new.txt": b"new",
    }
    assert shape["stats"]["files"] == 4
    assert project.left_over() == []


@pytest.mark.usefixtures("later")
def test_an_archive_cut_short_gives_what_lies_before_its_end(project, archive):
    raw = archive.read_bytes()
    archive.write_bytes(raw[: raw.index(b"n.bin" + NOISE[:16]) + 100])

    code, shape = salvaged(archive)

    assert (code, shape["state"]) == (0, "succeeded")
    assert User.objects.get().username == "ada"
    (finding,) = left_out(shape)
    assert {"n.bin", "other.bin", "o.bin"} <= set(finding["keys"])
    assert (project.media / "m.bin").read_bytes() == b"m.bin" + NOISE
    assert (project.media / "o.bin").read_bytes() == b"changed since"


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("part", ["storages/media.index.jsonl.zst", "storages/media.tar.zst"])
def test_a_storage_of_which_nothing_can_be_had_stays_as_it_is(project, archive, part):
    before = look(project.media)
    place = place_of(archive, part)
    if part.endswith("tar.zst"):
        archive.write_bytes(archive.read_bytes()[: place - BLOCK_BYTES])
    else:
        flip(archive, place + 20)

    code, shape = salvaged(archive)

    assert (code, shape["state"]) == (0, "succeeded")
    assert User.objects.get().username == "ada"
    assert left_out(shape)[0]["keys"] == ["media"]
    assert look(project.media) == before
    assert project.left_over() == []


@pytest.mark.usefixtures("later")
def test_a_destroyed_header_costs_nothing(project, archive):
    name = member_of(archive, "auth.Group")
    overwrite(archive, place_of(archive, name) - BLOCK_BYTES, bytes(BLOCK_BYTES))

    code, shape = salvaged(archive)

    assert code == 0
    assert left_out(shape) == []
    assert Group.objects.get().name == "editors"
    assert not (project.media / "new.txt").exists()


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("content", [b"<", b"{"])
def test_a_manifest_that_cannot_be_read_or_trusted_points_to_the_page(project, archive, content):
    raw = archive.read_bytes()
    label = raw.index(b'"label": "') + 10
    overwrite(archive, BLOCK_BYTES if content == b"<" else label, b"<" if content == b"<" else b"x")

    done = run("diskette_load", str(archive), "--no-input", "--salvage")

    assert done.code == 1
    assert "docs/by-hand.md" in done.err
    assert User.objects.get().username == "grace"


@pytest.mark.usefixtures("later")
def test_damage_of_the_sums_alone_costs_nothing(project, archive):
    flip(archive, place_of(archive, SUMS_NAME) + 200)
    assert salvaged(archive)[0] == 0
    assert User.objects.get().username == "ada"


@pytest.mark.usefixtures("later")
def test_a_check_lists_all_that_would_be_left_out_and_writes_nothing(project, archive):
    flip(archive, place_of(archive, member_of(archive, "auth.Group")) + 20)
    Group.objects.update(name="editors")
    break_file(archive, b"n.bin")
    before = look(project.media)

    code, shape = salvaged(archive, "--check")

    assert (code, shape["state"]) == (0, "succeeded")
    assert [(each["model"], each["keys"]) for each in left_out(shape)] == [
        ("auth.Group", []),
        (None, ["n.bin", "other.bin"]),
    ]
    assert User.objects.get().username == "grace"
    assert look(project.media) == before
    assert project.left_over() == []


@pytest.mark.usefixtures("later")
def test_what_is_whole_comes_back_wholly_or_not_at_all(project, archive):
    flip(archive, place_of(archive, member_of(archive, "auth.Group")) + 20)
    Group.objects.update(name="editors")
    break_file(archive, b"n.bin")
    before = look(project.media)
    with refusing("auth_user"):
        code, shape = salvaged(archive)

    assert (code, shape["state"]) == (1, "failed")
    assert "database-refused" in {each["code"] for each in shape["findings"]}
    assert User.objects.get().username == "grace"
    assert look(project.media) == before
    assert project.left_over() == []


@pytest.mark.usefixtures("later")
def test_nothing_whole_of_what_was_asked_for_is_refused(project, archive):
    flip(archive, place_of(archive, member_of(archive, "auth.Group")) + 20)

    code, shape = salvaged(archive, "--model", "auth.Group", "--no-storages")

    assert (code, shape["state"]) == (1, "failed")
    (finding,) = left_out(shape)
    assert finding["severity"] == "error"
    assert Group.objects.get().name == "writers"


def test_a_whole_archive_is_loaded_as_ever(project, archive):
    (project.media / "new.txt").write_text("new")

    handle = diskette.load(str(archive), salvage=True)

    assert (handle.state, handle.findings) == ("succeeded", ())
    assert not (project.media / "new.txt").exists()
