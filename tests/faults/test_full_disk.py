"""A disk that fills in the middle: named, nothing half done, nothing left behind."""

from __future__ import annotations

import os

import pytest
from django.contrib.auth.models import User

from diskette.core.report import Severity
from diskette.models import Lock, Run
from diskette.steps import dump, load
from tests.commands.conftest import run
from tests.filesystems import mounted, thin

BULK = 3_000_000
SMALL = "size=1m"


@pytest.fixture
def bulky(project):
    """Media that do not fit on the small filesystem, however they are packed."""
    (project.media / "bulk.bin").write_bytes(os.urandom(BULK))
    return project


@pytest.fixture(autouse=True)
def nobody_checks_beforehand(monkeypatch):
    """The room that there was is taken by another program after the check."""
    monkeypatch.setattr(dump, "require", lambda *phases: None)
    monkeypatch.setattr(load, "require", lambda *phases: None)


def assert_refused(done, directory) -> None:
    made = Run.objects.first()
    assert done.code == 1, done.err
    assert str(directory) in done.err
    assert [finding.code for finding in made.all_findings] == ["no-space"]
    assert "Traceback" not in done.err
    assert not Lock.objects.exists()
    assert made.finished_at


@pytest.mark.fault("the workspace's disk fills up")
def test_a_workspace_that_fills_up_while_dumping(bulky, healing, settings, tmp_path):
    with mounted(tmp_path / "small", SMALL) as small:
        settings.DISKETTE_WORKSPACE = small / "workspace"
        healing.begins()
        done = run("diskette_dump")
        healing.told("dump failed (no-space)")
        assert_refused(done, small)
        assert list((small / "workspace").iterdir()) == []
    assert not list(bulky.archives.glob("*"))


@pytest.mark.fault("the destination's disk fills up")
def test_a_destination_that_fills_up_while_assembling(bulky, healing, settings, tmp_path):
    with mounted(tmp_path / "small", SMALL) as small:
        settings.DISKETTE_DUMP_PATH = small
        healing.begins()
        done = run("diskette_dump")
        healing.told("dump failed (no-space)")
        assert_refused(done, small)
        assert list(small.iterdir()) == []
    assert bulky.left_over() == []


def test_a_destination_that_loses_what_it_took_has_no_archive(bulky, settings, tmp_path):
    with thin(tmp_path / "disk", promised="20M", kept="2m") as disk:
        settings.DISKETTE_DUMP_PATH = disk
        assert_refused(run("diskette_dump"), disk)
        assert list(disk.glob("*.tar")) == []
    assert bulky.left_over() == []


def test_a_workspace_that_fills_up_while_rows_are_staged(project, settings, tmp_path):
    for number in range(40):
        User.objects.create(username=f"user{number}", password=os.urandom(40).hex(), first_name="x")
    archive = run("diskette_dump", "--no-storages").last_line
    User.objects.update(first_name="changed")
    with mounted(tmp_path / "small", "size=40k") as small:
        settings.DISKETTE_WORKSPACE = small / "workspace"
        assert_refused(run("diskette_load", archive, "--no-input"), small)
        assert list((small / "workspace").iterdir()) == []
    assert not User.objects.exclude(first_name="changed").exists()


@pytest.mark.fault("a storage's disk fills up")
def test_a_media_disk_that_fills_up_while_files_are_staged(bulky, healing, settings, tmp_path):
    archive = run("diskette_dump").last_line
    User.objects.update(first_name="changed")
    with mounted(tmp_path / "small", SMALL) as small:
        settings.DISKETTE_LOAD_STORAGES_PATH = small
        settings.DISKETTE_STORAGES = [small / "media"]
        (small / "media").mkdir()
        (small / "media" / "live.txt").write_text("live")
        healing.begins()
        done = run("diskette_load", archive, "--no-input")
        healing.told("load failed (no-space)")
        assert_refused(done, small)
        assert [path.name for path in small.iterdir()] == ["media"]
        assert (small / "media" / "live.txt").read_text() == "live"
    assert User.objects.get().first_name == "changed"
    assert bulky.left_over() == []


def test_a_safety_dump_that_finds_no_room_is_told_with_what_it_needs(bulky, settings, tmp_path):
    """And not with what else was found in it: files that no row names."""
    settings.DISKETTE_SAFETY_DUMP = True
    settings.MEDIA_ROOT = bulky.media
    archive = run("diskette_dump").last_line
    User.objects.update(first_name="changed")
    with mounted(tmp_path / "small", SMALL) as small:
        settings.DISKETTE_DUMP_PATH = small
        done = run("diskette_load", archive, "--no-input")
        assert done.code == 1
    load, child = Run.objects.order_by("created_at")[1:]
    assert "file-unnamed" in {each.code for each in child.all_findings}
    told, why = (each for each in load.all_findings if each.severity is Severity.ERROR)
    assert (told.code, why.code) == ("run-failed", "no-space")
    assert why.message in told.message
    assert User.objects.get().first_name == "changed"
