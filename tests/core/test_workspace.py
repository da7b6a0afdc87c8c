from __future__ import annotations

import os
from datetime import timedelta
from uuid import uuid4

import pytest

from diskette.core.exceptions import StorageError
from diskette.core.workspace import MARKER, Workspace, borrowed, orphans
from worker.servers import await_condition

HOUR = timedelta(hours=1)
RUN = "0b9d2c1e-6f57-4a57-9b1d-0a8f3f6f2f10"


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "root", RUN)


def age(workspace: Workspace) -> None:
    os.utime(workspace.path, (0, 0))


def test_a_workspace_is_private_and_marked(workspace):
    workspace.create()

    assert workspace.path.stat().st_mode & 0o777 == 0o700
    assert workspace.root.stat().st_mode & 0o777 == 0o700
    assert (workspace.path / MARKER).is_file()


def test_making_it_again_keeps_what_is_in_it(workspace):
    workspace.create()
    (workspace.path / "part").write_bytes(b"rows")
    workspace.path.chmod(0o755)

    workspace.create()

    assert (workspace.path / "part").read_bytes() == b"rows"
    assert workspace.path.stat().st_mode & 0o777 == 0o700


def test_removing_takes_all_of_it_and_may_be_repeated(workspace):
    workspace.create()
    (workspace.path / "tree" / "closed").mkdir(parents=True)
    (workspace.path / "tree" / "closed" / "file").touch()
    (workspace.path / "tree" / "closed").chmod(0o500)
    (workspace.path / "link").symlink_to(workspace.root.parent)

    workspace.remove()
    workspace.remove()

    assert not workspace.path.exists()
    assert workspace.root.parent.exists()


def test_a_removal_that_was_cut_off_is_finished_later(workspace):
    workspace.create()
    (workspace.path / MARKER).unlink()

    workspace.remove()

    assert not workspace.path.exists()


def test_a_directory_that_diskette_did_not_make_is_left_alone(workspace):
    workspace.path.mkdir(parents=True)
    (workspace.path / "thesis.odt").write_bytes(b"years of work")

    with pytest.raises(StorageError, match="was not made by Diskette"):
        workspace.create()
    with pytest.raises(StorageError, match="was not made by Diskette"):
        workspace.remove()
    assert orphans(workspace.root, set(), HOUR, now=1e12) == []
    assert (workspace.path / "thesis.odt").read_bytes() == b"years of work"


def test_a_link_in_place_of_a_workspace_is_not_followed(workspace, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / MARKER).touch()
    workspace.root.mkdir()
    workspace.path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError):
        workspace.create()
    with pytest.raises(StorageError):
        workspace.remove()
    assert (tmp_path / "elsewhere" / MARKER).exists()


@pytest.mark.parametrize("run", ["", "..", "../victim", "a/b", ".hidden", "x\0"])
def test_a_run_that_would_leave_the_root_is_refused(tmp_path, run):
    with pytest.raises(ValueError, match="no run is named"):
        Workspace(tmp_path, run)


def test_orphans_are_the_old_workspaces_of_no_living_run(tmp_path):
    living, dead, young = (Workspace(tmp_path, str(uuid4())) for _ in range(3))
    for workspace in (living, dead, young):
        workspace.create()
    age(living)
    age(dead)
    (tmp_path / "notes").mkdir()
    (tmp_path / str(uuid4())).write_text("a file")

    assert orphans(tmp_path, {living.run}, HOUR) == [dead]


def test_an_empty_directory_of_a_run_is_an_orphan_and_one_of_others_is_not(tmp_path):
    cut_off = Workspace(tmp_path, str(uuid4()))
    cut_off.path.mkdir()
    age(cut_off)
    (tmp_path / "cache").mkdir()
    os.utime(tmp_path / "cache", (0, 0))

    assert orphans(tmp_path, set(), HOUR) == [cut_off]


def test_a_root_that_was_never_made_has_no_orphans(tmp_path):
    assert orphans(tmp_path / "never", set(), HOUR) == []


def test_a_borrowed_one_lives_as_long_as_it_is_needed(tmp_path):
    lease = timedelta(seconds=0.2)
    with borrowed(tmp_path, lease) as directory:
        (directory / "part").touch()
        os.utime(directory, (0, 0))
        assert await_condition(lambda: orphans(tmp_path, set(), lease) == [], seconds=10)
    assert list(tmp_path.iterdir()) == []
