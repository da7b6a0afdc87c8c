"""Drills in one process: proven, refused, failed; the live rows and files stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

import diskette
from diskette.core.plan import Kind, State
from diskette.models import DRILL_LOCK, PROJECT_LOCK, Archive, Lock, Run
from tests.commands.conftest import run

CHECK = "tests.commands.test_drill.{}"


def look(database: str, storages: Path) -> None:
    """Called in the process apart: all that it sees is what was restored."""
    assert database == "default"
    assert list(User.objects.values_list("username", flat=True)) == ["ada"]
    assert (storages / "media" / "a.txt").read_text() == "a"


def harm(database: str, storages: Path) -> None:
    """Does its worst by the names that are live elsewhere."""
    Group.objects.all().delete()
    User.objects.using(database).all().delete()
    (storages / "media" / "a.txt").unlink()


def upload(database: str, storages: Path) -> None:
    default_storage.save("upload.txt", ContentFile(b"of a check"))


def complain(database: str, storages: Path) -> None:
    raise ValueError("no orders of this week")


def leave(database: str, storages: Path) -> None:
    raise SystemExit(0)


def refuse(database: str, storages: Path) -> bool:
    return False


def picture(project) -> tuple[list, dict[str, str]]:
    """Every row of every table but the bookkeeping, and every file."""
    rows = []
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if not table.startswith(("diskette_", "django_celery")):
                cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')
                rows.append((table, cursor.fetchall()))
    files = {str(p): p.read_text() for p in sorted(project.base.rglob("media/**/*")) if p.is_file()}
    return rows, files


def test_a_drill_proves_the_newest_archive_and_changes_nothing_live(project, archive):
    Group.objects.create(name="since then")
    (project.media / "a.txt").write_text("changed since")
    before = picture(project)
    done = run("diskette_verify", "--drill")
    assert done.code == 0, done.err
    assert done.last_line.startswith(f"proven   {archive.name}  ")
    assert picture(project) == before
    assert project.left_over() == []
    assert Archive.objects.get(path=str(archive)).proven_at is not None


def test_a_drill_that_could_not_be_told_of_has_proven_the_archive_all_the_same(settings, archive):
    settings.DISKETTE_NOTIFY_SECRET_PINGS = {"drill": "http://127.0.0.1:1/uuid"}
    done = run("diskette_verify", "--drill")
    assert done.code == 0, done.err
    assert done.last_line.startswith(f"proven   {archive.name}  ")
    assert {each.code for each in Run.objects.get(kind=Kind.DRILL).all_findings} == {"not-told"}


def test_who_lists_or_inspects_is_told_that_it_is_proven(archive):
    assert json.loads(run("diskette_list", format="json").out)[0]["proven_at"] is None
    assert run("diskette_verify", "--drill", archive.name).code == 0
    assert "  proven " in run("diskette_list").out
    assert "Proven restorable 20" in run("diskette_inspect", "latest").out
    assert json.loads(run("diskette_list", format="json").out)[0]["proven_at"]
    assert json.loads(run("diskette_inspect", "latest", format="json").out)["proven_at"]


def test_the_archive_last_proven_is_not_removed(settings, project, archive):
    settings.DISKETTE_DUMP_AUTO_PURGE = False
    assert run("diskette_verify", "--drill").code == 0
    newer = Path(run("diskette_dump").last_line)
    done = run("diskette_prune", "--keep-last", "1", "--no-input")
    assert "the last one proven to be restorable" in done.out
    assert archive.exists()
    assert newer.exists()


def test_a_proof_is_of_the_file_that_was_there(settings, archive):
    assert run("diskette_verify", "--drill").code == 0
    settings.DISKETTE_DUMP_FILENAME = archive.name
    archive.unlink()
    assert run("diskette_dump", "--filename", archive.name).code == 0
    assert json.loads(run("diskette_list", format="json").out)[0]["proven_at"] is None


def test_an_archive_without_a_row_gets_one_that_says_it_is_proven(archive):
    Archive.objects.all().delete()
    assert run("diskette_verify", "--drill").code == 0
    assert Archive.objects.get(path=str(archive)).proven_at is not None


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ("complain", "ValueError: no orders of this week"),
        ("leave", "SystemExit: 0"),
        ("refuse", "it returned False"),
    ],
)
def test_a_check_that_refuses_fails_the_drill_in_its_own_words(
    settings, project, archive, check, why
):
    settings.DISKETTE_DRILL_CHECK = CHECK.format(check)
    done = run("diskette_verify", "--drill", format="json")
    assert done.code == 1
    (finding,) = json.loads(done.out)["findings"]
    assert finding["code"] == "drill-failed"
    assert why in finding["message"]
    assert Archive.objects.get(path=str(archive)).proven_at is None
    assert project.left_over() == []


def test_a_check_sees_what_was_restored_by_the_names_it_knows(settings, project, archive):
    User.objects.all().delete()
    (project.media / "a.txt").write_text("changed since")
    settings.DISKETTE_DRILL_CHECK = CHECK.format("look")
    done = run("diskette_verify", "--drill")
    assert done.code == 0, done.err


def test_a_check_that_deletes_everything_deletes_nothing_live(settings, project, archive):
    before = picture(project)
    settings.DISKETTE_DRILL_CHECK = CHECK.format("harm")
    done = run("diskette_verify", "--drill")
    assert done.code == 0, done.err
    assert picture(project) == before


@pytest.mark.parametrize("held", [True, False])
def test_a_check_that_saves_a_file_saves_none_that_is_live(
    settings, project, archive, held, monkeypatch
):
    """The process apart reads settings anew: there it is Django's own, the working directory."""
    monkeypatch.chdir(project.base)
    settings.MEDIA_ROOT = project.media if held else ""
    settings.DISKETTE_DRILL_CHECK = CHECK.format("upload")
    done = run("diskette_verify", "--drill")
    assert done.code == 0, done.err
    assert list(project.base.rglob("upload*")) == []


def test_a_damaged_archive_fails_the_drill(project, archive):
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    done = run("diskette_verify", "--drill", archive.name)
    assert done.code == 1
    assert Archive.objects.get(path=str(archive)).proven_at is None
    assert project.left_over() == []


def test_a_drill_runs_beside_a_dump_but_not_beside_a_drill(project, archive):
    other = Run.objects.create(kind=Kind.DUMP, state=State.RUNNING)
    lock = Lock.objects.create(name=PROJECT_LOCK, run=other)
    assert run("diskette_verify", "--drill").code == 0
    Lock.objects.filter(pk=lock.pk).update(name=DRILL_LOCK)
    assert run("diskette_verify", "--drill").code == 3
    Run.objects.all().delete()
    Lock.objects.create(name=DRILL_LOCK, run=Run.objects.create(kind=Kind.DRILL))
    assert run("diskette_dump").code == 0


@pytest.mark.parametrize("more", [["--all"], ["--sample", "10%"], ["--destination", "."]])
def test_a_drill_is_of_one_archive(archive, more):
    assert run("diskette_verify", "--drill", *more).code == 2


def test_only_a_drill_can_be_enqueued(archive):
    assert run("diskette_verify", archive.name, "--enqueue").code == 2


def test_python_code_drills_as_the_command_does(archive):
    handle = diskette.drill()
    assert handle.state == State.SUCCEEDED
    assert handle.archive == str(archive)


def test_without_an_archive_there_is_nothing_to_drill(project):
    done = run("diskette_verify", "--drill")
    assert done.code == 1
    assert "diskette_dump" in done.err


@pytest.mark.parametrize(
    ("options", "proves"),
    [
        ([], True),
        (["--app", "accounts"], False),
        (["--no-storages"], False),
        (["--mode", "merge"], False),
        (["--check"], False),
    ],
)
def test_a_load_is_a_proof_if_it_is_of_all_and_compares_all(archive, options, proves):
    assert run("diskette_load", archive.name, "--no-input", *options).code == 0
    assert (Archive.objects.get(path=str(archive)).proven_at is not None) is proves
