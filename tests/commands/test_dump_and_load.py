"""The commands' main roads: what they do, print, and how they exit."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User

from diskette import doctor, steps
from diskette.core.exceptions import StorageError
from diskette.core.plan import Kind
from diskette.models import Run
from tests.commands.conftest import run
from tests.library import models as library


def test_a_dump_prints_its_archive_last_and_leaves_nothing_else(project):
    done = run("diskette_dump")
    assert done.code == 0, done.err
    (archive,) = project.archives.glob("*.tar")
    assert done.last_line == str(archive)
    assert archive.name.startswith("tests_")
    assert archive.name.endswith("_data_storages.tar")
    assert archive.stat().st_mode & 0o777 == 0o600
    assert project.left_over() == []


def test_an_archive_is_a_plain_tar_with_its_manifest_first(archive):
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert names[0] == "manifest.json"
    assert {"data/0001_auth.Group.jsonl.zst", "storages/media.tar.zst"} <= set(names)
    assert "storages/media.index.jsonl.zst" in names


def test_without_storages_or_data_the_name_says_so(project):
    assert run("diskette_dump", "--no-storages").last_line.endswith("_data.tar")
    assert run("diskette_dump", "--no-data").last_line.endswith("_storages.tar")


def test_rows_that_cannot_be_examined_are_dumped_all_the_same(project, monkeypatch):
    def defective(patient):
        raise LookupError("no tenant is active")

    monkeypatch.setattr(doctor, "of_data", defective)
    done = run("diskette_dump")
    assert done.code == 0, done.err
    assert Path(done.last_line).exists()
    (finding,) = [each for each in Run.objects.get().all_findings if each.code == "unexpected"]
    assert finding.severity == "warning"
    assert finding.message.endswith("were not examined: LookupError: no tenant is active")


def test_label_destination_and_filename_are_obeyed(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    words = ("--destination", str(elsewhere), "--label", "before-upgrade")
    done = run("diskette_dump", *words, "--filename", "{label}{features}.tar")
    assert done.last_line == str(elsewhere / "before-upgrade_data_storages.tar")


def test_a_load_puts_back_rows_and_files(project, archive):
    User.objects.update(first_name="changed")
    Group.objects.all().delete()
    (project.media / "a.txt").write_text("changed")
    (project.media / "sub" / "b.txt").unlink()
    (project.media / "new.txt").write_text("new")

    done = run("diskette_load", str(archive), "--no-input")

    assert done.code == 0, done.err
    user = User.objects.get()
    assert user.first_name == ""
    assert user.check_password("secret")
    assert [group.name for group in user.groups.all()] == ["editors"]
    assert (project.media / "a.txt").read_text() == "a"
    assert (project.media / "sub" / "b.txt").read_text() == "b"
    assert not (project.media / "new.txt").exists()
    assert archive.exists()
    assert project.left_over() == []


def test_rows_can_be_added_right_after_a_load(project, archive):
    assert run("diskette_load", str(archive), "--no-input").code == 0
    user = User.objects.create_user("bob")
    user.groups.add(Group.objects.create(name="others"))
    assert User.objects.count() == 2


def test_a_load_keeps_what_was_there_as_a_safety_dump(project, archive, settings):
    settings.DISKETTE_SAFETY_DUMP = True
    User.objects.update(first_name="kept")
    assert run("diskette_load", str(archive), "--no-input").code == 0
    (safety,) = project.archives.glob("*safety*.tar")
    assert run("diskette_load", str(safety), "--no-input", "--no-safety-dump").code == 0
    assert User.objects.get().first_name == "kept"


def test_a_safety_dump_holds_all_that_is_replaced_whatever_is_defined(project, settings):
    drafts = {"models": ["library.Draft", "library.Mark"]}
    settings.DISKETTE_APPS = [["drafts", drafts]]
    settings.DISKETTE_SAFETY_DUMP = True
    library.Draft.everything.create(title="a")
    library.Mark.objects.create(pk=1)
    archive = run("diskette_dump", "--no-storages").last_line
    library.Draft.everything.create(title="h", hidden=True)
    library.Mark.objects.create(pk=2)
    drafts.update(models=["library.Draft"], use_base_manager=False)

    assert run("diskette_load", archive, "--no-input").code == 0
    assert (library.Draft.everything.count(), library.Mark.objects.count()) == (1, 1)
    made = Run.objects.get(kind=Kind.DUMP, options__purpose="safety")
    uncovered = {each.model for each in made.all_findings if each.code == "uncovered-model"}
    assert "library.Mark" not in uncovered
    assert "auth.User" in uncovered

    (safety,) = project.archives.glob("*safety*.tar")
    done = run("diskette_load", str(safety), "--no-input", "--no-safety-dump")
    assert done.code == 0, done.err
    assert (library.Draft.everything.count(), library.Mark.objects.count()) == (2, 2)


def test_a_safety_dump_holds_the_files_that_dumps_leave_out(project, settings):
    settings.DISKETTE_SAFETY_DUMP = True
    settings.DISKETTE_STORAGES_EXCLUDES = ["*.tmp"]
    settings.DISKETTE_STORAGES = [(project.media, {"excludes": ["sub/*"]})]
    half_done = project.media / "half done.tmp"
    half_done.write_text("not in dumps")
    archive = run("diskette_dump").last_line

    assert run("diskette_load", archive, "--no-input").code == 0
    assert [path.name for path in project.media.rglob("*.*")] == ["a.txt"]

    (safety,) = project.archives.glob("*safety*.tar")
    assert run("diskette_load", str(safety), "--no-input", "--no-safety-dump").code == 0
    assert half_done.read_text() == "not in dumps"
    assert (project.media / "sub" / "b.txt").read_text() == "b"


def test_latest_is_the_newest_dump_and_never_a_safety_dump(project, archive, settings):
    settings.DISKETTE_SAFETY_DUMP = True
    for _ in range(2):
        done = run("diskette_load", "latest", "--no-input")
        assert done.code == 0, done.err
    assert {run.archive for run in Run.objects.filter(kind="load")} == {str(archive)}


def test_check_of_a_load_changes_nothing(project, archive):
    User.objects.update(first_name="changed")
    done = run("diskette_load", str(archive), "--check")
    assert done.code == 0, done.err
    assert User.objects.get().first_name == "changed"
    assert project.left_over() == []


def test_merge_deletes_nothing(project, archive):
    User.objects.create_user("bob")
    User.objects.filter(username="ada").update(first_name="changed")
    assert run("diskette_load", str(archive), "--no-input", "--mode", "merge").code == 0
    assert {u.username: u.first_name for u in User.objects.all()} == {"ada": "", "bob": ""}


@pytest.mark.parametrize(
    ("words", "names", "question"),
    [
        (
            ["--merge-storages"],
            {"ada"},
            "will replace those of, and its files be merged into, this",
        ),
        (["--mode", "merge"], {"ada", "bob"}, "The rows and files of"),
        (["--merge-storages", "--no-data"], {"ada", "bob"}, "The files of"),
    ],
)
def test_merging_storages_adds_and_replaces_files_and_deletes_none(
    project, archive, monkeypatch, words, names, question
):
    User.objects.create_user("bob")
    (project.media / "a.txt").write_text("changed")
    (project.media / "sub" / "b.txt").unlink()
    (project.media / "sub" / "new.txt").write_text("new")
    monkeypatch.setattr("builtins.input", lambda _: "yes")

    done = run("diskette_load", str(archive), *words)

    assert done.code == 0, done.err
    assert question in done.err
    assert "be merged into" in done.err
    assert {user.username for user in User.objects.all()} == names
    files = {path.name: path.read_text() for path in project.media.rglob("*.txt")}
    assert files == {"a.txt": "a", "b.txt": "b", "new.txt": "new"}
    assert project.left_over() == []


def test_a_merge_that_was_cut_off_before_its_end_deletes_nothing(project, archive, monkeypatch):
    """The sweep that clears after it keeps what came while it was done."""
    (project.media / "new.txt").write_text("new")

    def late(context):
        (project.base / f".media.diskette-{context.run.pk}.old" / "late.txt").write_text("late")
        raise StorageError("media", "was cut off")

    monkeypatch.setitem(steps.FUNCTIONS, (Kind.LOAD, "finish"), late)
    assert run("diskette_load", str(archive), "--no-input", "--merge-storages").code == 1

    files = {path.name for path in project.media.rglob("*.txt")}
    assert files == {"a.txt", "b.txt", "new.txt", "late.txt"}
    assert project.left_over() == []


def test_a_load_asks_and_takes_no_for_an_answer(project, archive, monkeypatch):
    questions = []
    monkeypatch.setattr("builtins.input", lambda text: questions.append(text) or "no")
    User.objects.update(first_name="changed")
    done = run("diskette_load", str(archive))
    assert done.code == 1
    assert "Nothing was loaded" in done.err
    assert "replace those of this project" in done.err
    assert questions
    assert User.objects.get().first_name == "changed"


def test_json_is_one_document(project):
    done = run("diskette_dump", "--format", "json")
    shape = json.loads(done.out)
    assert done.code == 0
    assert done.err == ""
    assert shape["state"] == "succeeded"
    assert shape["percent"] == 100.0
    assert shape["archive"].endswith("_data_storages.tar")


def test_check_of_a_dump_says_what_would_be_taken_and_writes_nothing(project):
    done = run("diskette_dump", "--check")
    assert done.code == 0
    assert "accounts: " in done.out
    assert "media/: 2 files" in done.out
    assert not project.archives.exists()
    assert not Run.objects.exists()


def test_list_and_inspect_show_the_archive(project, archive):
    assert archive.name in run("diskette_list").out
    assert json.loads(run("diskette_list", "--format", "json").out)[0]["rows"] == 3
    text = run("diskette_inspect", "latest").out
    assert "auth.User" in text
    assert "media/  2 files" in text
    manifest = json.loads(run("diskette_inspect", archive.name, "--format", "json").out)
    assert manifest["label"] == "tests"


def test_one_file_is_not_one_files(project):
    (project.media / "a.txt").unlink()
    assert "media/: 1 file, 1 Byte" in run("diskette_dump", "--check").out.splitlines()
    archive = run("diskette_dump").last_line
    assert run("diskette_list").out.rstrip().endswith("3 rows, 1 file")
    assert "media/  1 file, 1 Byte" in run("diskette_inspect", "latest").out.splitlines()
    assert "3 rows, 1 file)" in run("diskette_load", archive).err


def test_status_lists_and_shows_runs(project, archive):
    (made,) = Run.objects.all()
    assert str(made.pk) in run("diskette_status").out
    text = run("diskette_status", str(made.pk)[:8]).out
    assert "dump_application accounts" in text
    assert str(archive) in text
    shape = json.loads(run("diskette_status", "latest", "--format", "json").out)
    assert shape["state"] == "succeeded"
    assert {each["step"] for each in shape["results"]} >= {"check_space", "publish_archive"}


@pytest.mark.parametrize("word", ["nothing", ""])
def test_an_unknown_run_is_wrong_usage(project, word):
    assert run("diskette_status", "zzz").code == 2
    assert run("diskette_cancel", "zzz").code == 2


def test_a_third_of_the_definitions_can_be_loaded(project, settings):
    settings.DISKETTE_APPS = [
        ["users", {"models": ["auth.User"]}],
        ["groups", {"models": ["auth.Group"]}],
    ]
    archive = run("diskette_dump").last_line
    Group.objects.update(name="changed")
    User.objects.update(first_name="changed")
    done = run("diskette_load", archive, "--no-input", "--app", "groups", "--no-storages")
    assert done.code == 0, done.err
    assert Group.objects.get().name == "editors"
    assert User.objects.get().first_name == "changed"


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_project_without_time_zones_dumps_prunes_and_loads(project, settings, zone):
    settings.USE_TZ, settings.TIME_ZONE = False, zone
    settings.DISKETTE_RETENTION = {"last": 1}
    assert run("diskette_dump").code == 0
    done = run("diskette_dump", "--format", "json")
    assert done.code == 0, done.err
    assert [path.name for path in project.archives.glob("*.tar")] == [
        Path(json.loads(done.out)["archive"]).name
    ]
    seconds = [step.stats["seconds"] for step in Run.objects.first().steps.all()]
    assert max(seconds) < 60
    assert run("diskette_load", "latest", "--no-input").code == 0
