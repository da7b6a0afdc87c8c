"""What is wrong is named, with its cure; nothing is changed and nothing is left behind."""

from __future__ import annotations

import json
import tarfile

import pytest
from celery import Celery, current_app
from django.contrib.auth.models import User

from diskette.models import Lock, Run
from tests.commands.conftest import run


@pytest.fixture(autouse=True)
def untouched(project):
    """Whatever a test does wrong, rows, files and the archives stay as they are."""
    yield
    assert User.objects.get().username == "ada"
    assert (project.media / "a.txt").read_text() == "a"
    assert project.left_over() == []
    assert not Lock.objects.exists()
    assert not Run.objects.filter(finished_at=None).exists()


@pytest.fixture
def broker_at():
    """Gives the project, for one test, a Celery app whose broker is at a URL."""
    former = current_app._get_current_object()
    made = []

    def at(url):
        made.append(Celery("elsewhere", broker=url, set_as_current=True))
        return made[-1]

    yield at
    former.set_current()
    for app in made:
        app.close()


def test_every_problem_of_the_definitions_is_named_at_once(project, settings):
    settings.DISKETTE_APPS = [
        ["one", {"models": ["nowhere"], "filename": "same.json"}],
        ["two", {"models": ["auth.user"], "filename": "same.json"}],
        ["rest", {"is_drain": True}],
    ]
    done = run("diskette_dump")
    assert done.code == 1
    for word in ("nowhere", "auth.user", "auth.User", "same.json", "one", "two"):
        assert word in done.err


def test_a_drain_without_rest_is_refused(project, settings):
    settings.DISKETTE_APPS = [
        ["all", {"models": ["auth"]}],
        ["rest", {"is_drain": True, "excludes": []}],
    ]
    done = run("diskette_dump", "--no-storages")
    assert done.code in (0, 1)
    if done.code == 1:
        assert "rest" in done.err


@pytest.mark.parametrize("kind", ["missing", "file", "outside", "nested", "text"])
def test_a_storage_that_cannot_be_one_is_refused(project, settings, tmp_path, kind):
    outside = tmp_path.parent
    wrong = {
        "missing": tmp_path / "absent",
        "file": project.media / "a.txt",
        "outside": outside,
        "nested": project.media / "sub",
        "text": str(project.media),
    }[kind]
    settings.DISKETTE_STORAGES = [project.media, wrong] if kind == "nested" else [wrong]
    done = run("diskette_dump")
    assert done.code == 1
    assert str(wrong) in done.err
    assert "Traceback" not in done.err


def test_nothing_to_dump_is_wrong_usage(project):
    assert run("diskette_dump", "--no-data", "--no-storages").code == 2


def test_an_unknown_definition_is_wrong_usage_and_the_known_ones_are_named(project):
    done = run("diskette_dump", "--app", "shop")
    assert done.code == 2
    assert "accounts" in done.err


def test_waiting_without_enqueueing_is_wrong_usage(project):
    assert run("diskette_dump", "--wait").code == 2


@pytest.mark.fault("Redis is away when a run is to begin")
def test_a_broker_that_is_down_is_named_and_nothing_stays_open(project, healing, broker_at):
    broker_at("redis://:secret@127.0.0.1:1/0").conf.broker_connection_timeout = 1
    healing.begins()
    done = run("diskette_dump", "--enqueue")
    healing.told("dump failed (broker-unreachable), nothing stays open")
    assert done.code == 1
    assert "127.0.0.1:1" in done.err
    assert "secret" not in done.err
    assert Run.objects.get().state == "failed"


@pytest.mark.fault("Redis is frozen when a run is to begin")
def test_a_broker_that_is_frozen_is_named_in_time(project, healing, private_redis, broker_at):
    private_redis.freeze()
    broker_at(private_redis.url)
    healing.begins()
    try:
        done = run("diskette_dump", "--enqueue")
        healing.told("dump failed (broker-unreachable)")
    finally:
        private_redis.thaw()
    assert done.code == 1
    assert "Timeout" in done.err
    assert Run.objects.get().state == "failed"


def test_an_archive_that_is_not_there_is_named(project):
    done = run("diskette_load", "nowhere.tar", "--no-input")
    assert done.code == 1
    assert "nowhere.tar" in done.err
    assert "diskette_list" in done.err


def test_a_home_directory_that_is_not_there_is_named(project):
    done = run("diskette_load", "~nobody-of-that-name/x.tar", "--no-input")
    assert done.code == 1
    assert "~nobody-of-that-name/x.tar" in done.err


def test_a_url_of_another_kind_is_wrong_usage(project):
    assert run("diskette_load", "ftp://user:pw@example.com/x.tar", "--no-input").code == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign", "newer", "text"])
def test_a_damaged_archive_is_refused_and_kept(project, archive, damage, tmp_path):
    raw = bytearray(archive.read_bytes())
    if damage == "truncated":
        raw = raw[: len(raw) // 2]
    elif damage == "flipped":
        raw[raw.index(b"data/0001") + 600] ^= 1
    elif damage == "newer":
        raw = bytearray(bytes(raw).replace(b'"format": 1,', b'"format": 9,', 1))
    elif damage == "foreign":
        with tarfile.open(tmp_path / "foreign.tar", "w") as tar:
            tar.add(__file__, "x.py")
        raw = bytearray((tmp_path / "foreign.tar").read_bytes())
    else:
        raw = bytearray(b"" if damage == "empty" else b"not an archive" * 100)
    archive.write_bytes(raw)

    done = run("diskette_load", str(archive), "--no-input")

    assert done.code == 1, done.err
    assert archive.name in done.err
    assert archive.read_bytes() == bytes(raw)
    if damage == "newer":
        assert "Upgrade Diskette" in done.err


def test_a_wrong_checksum_is_refused(project, archive):
    done = run("diskette_load", str(archive), "--no-input", "--checksum", "0" * 64)
    assert done.code == 1
    assert "expected SHA-256" in done.err


def test_a_second_run_is_refused_with_code_3_and_names_the_first(project):
    first = Run.objects.create(kind="dump", state="running", inline=False)
    Lock.objects.create(name="project", run=first)
    done = run("diskette_dump")
    assert done.code == 3
    assert str(first.pk) in done.err
    Lock.objects.all().delete()
    first.delete()


def test_too_little_room_is_refused_with_the_sum(project, monkeypatch):
    from diskette.core import space

    monkeypatch.setattr(space, "free", lambda directory: 10)
    done = run("diskette_dump")
    assert done.code == 1
    assert "needs" in done.err
    assert "10 Bytes free" in done.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("diskette_dump", "--app", "shop"), 2),
        (("diskette_dump", "--no-data", "--no-storages"), 2),
        (("diskette_load", "nowhere.tar", "--no-input"), 1),
        (("diskette_load", "nowhere.tar"), 1),
        (("diskette_status", "ffffffff"), 2),
        (("diskette_inspect", "nowhere.tar"), 1),
    ],
)
def test_a_refusal_is_a_json_document_where_json_is_wanted(project, words, code):
    done = run(*words, "--format", "json")
    assert done.code == code
    error = json.loads(done.out)["error"]
    assert error["message"] in done.err
    assert error["code"]


def test_a_run_refused_because_of_another_is_named_in_json(project):
    first = Run.objects.create(kind="dump", state="running", inline=False)
    Lock.objects.create(name="project", run=first)
    done = run("diskette_dump", "--format", "json")
    assert done.code == 3
    error = json.loads(done.out)["error"]
    assert error["holder"] == str(first.pk)
    assert Run.objects.get(pk=error["run"]).state == "skipped"
    assert run("diskette_status", error["run"], "--follow").code == 3
    Lock.objects.all().delete()
    first.delete()


def test_a_definition_that_the_archive_lacks_is_wrong_usage(project, archive):
    done = run("diskette_load", str(archive), "--no-input", "--app", "shop")
    assert done.code == 2
    assert "accounts" in done.err


def test_a_destination_in_a_storage_is_wrong_usage(project):
    done = run("diskette_dump", "--destination", str(project.media / "backups"))
    assert done.code == 2
    assert "DISKETTE_STORAGES" in done.err
    assert not (project.media / "backups").exists()


@pytest.mark.parametrize("beneath", [".", "backups"])
def test_a_destination_that_is_a_file_is_wrong_usage(project, beneath):
    file = project.base / "notes.txt"
    file.write_text("notes")
    done = run("diskette_dump", "--destination", str(file / beneath))
    assert done.code == 2
    assert f"{file} is a file. Choose a directory" in done.err
    assert file.read_text() == "notes"


@pytest.mark.parametrize("words", [("--filename", "../x.tar"), ("--label", "../x")])
def test_an_archive_named_as_a_path_is_wrong_usage(project, words):
    done = run("diskette_dump", *words)
    assert done.code == 2
    assert "cannot be named '../x" in done.err
    assert f"{words[0]}" in done.err


def test_an_archive_in_a_storage_that_it_would_replace_is_refused_and_kept(project, archive):
    inside = archive.rename(project.media / "upload.tar")
    User.objects.update(first_name="changed")
    done = run("diskette_load", str(inside), "--no-input")
    assert done.code == 2
    assert "Move the archive away" in done.err
    assert inside.exists()
    assert User.objects.get().first_name == "changed"
    assert run("diskette_load", str(inside), "--no-input", "--no-storages").code == 0
    assert inside.exists()
