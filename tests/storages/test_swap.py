from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from diskette.core.exceptions import StorageError
from diskette.storages import Storage, discard, settle, stage, staged_in, swap
from diskette.storages.index import Kind
from diskette.storages.places import Place, mount_points
from tests.filesystems import bound, mounted, nobody, overlaid
from tests.storages import killed
from tests.storages.trees import (
    ROOT,
    RUN,
    collected,
    entry,
    handmade,
    look,
    promised,
    staged,
    uncounted,
)

OTHER_RUN = "ffffffff-6f57-4a57-9b1d-0a8f3f6f2f10"
NEW = {"new.txt": b"new", "both.txt": b"new", "dir/deep/file": b"new", "dir/x": b"new"}
OLD = {"old.txt": b"old", "both.txt": b"old", "dir/deep/file": b"old", "dir/y": b"old"}


def put(root: Path, files: dict[str, bytes]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def files_in(root: Path) -> dict[str, bytes]:
    """Files by path; Diskette's own directories are not the storage's."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".diskette-")
    }


def stage_new(live: Path) -> None:
    """Leave `NEW` staged, as `stage` does."""
    place = Place.for_staging(live, RUN)
    place.staged.parent.mkdir(parents=True, exist_ok=True)
    put(place.staged, NEW)


@dataclass(frozen=True)
class Target:
    """Where a storage lies, before a load."""

    live: Path
    before: dict[str, bytes]


def missing(tmp_path: Path, _: ExitStack) -> Target:
    (tmp_path / "site").mkdir()
    return Target(tmp_path / "site" / "media", {})


def empty(tmp_path: Path, stack: ExitStack) -> Target:
    target = missing(tmp_path, stack)
    target.live.mkdir()
    return target


def full(tmp_path: Path, stack: ExitStack) -> Target:
    live = missing(tmp_path, stack).live
    put(live, OLD)
    return Target(live, OLD)


def linked(tmp_path: Path, stack: ExitStack) -> Target:
    """A storage that is a link to another filesystem."""
    live = missing(tmp_path, stack).live
    disk = stack.enter_context(mounted(tmp_path / "disk"))
    put(disk / "files", OLD)
    live.symlink_to(disk / "files")
    return Target(live, OLD)


def mount_point(tmp_path: Path, stack: ExitStack) -> Target:
    live = missing(tmp_path, stack).live
    stack.enter_context(mounted(live))
    put(live, OLD)
    return Target(live, OLD)


def empty_mount_point(tmp_path: Path, stack: ExitStack) -> Target:
    live = missing(tmp_path, stack).live
    stack.enter_context(mounted(live))
    return Target(live, {})


def bound_mount(tmp_path: Path, stack: ExitStack) -> Target:
    """A volume from the same disk: nothing but the table of mounts tells it from a directory."""
    live = missing(tmp_path, stack).live
    put(tmp_path / "volume", OLD)
    stack.enter_context(bound(tmp_path / "volume", live))
    return Target(live, OLD)


def image(tmp_path: Path, stack: ExitStack) -> Target:
    """Files that came with a container's image, whose directories refuse to be renamed."""
    put(tmp_path / "image" / "media", OLD)
    root = stack.enter_context(overlaid(tmp_path / "image", tmp_path / "container"))
    return Target(root / "media", OLD)


TARGETS = (missing, empty, full, linked, mount_point, empty_mount_point, bound_mount, image)


@pytest.fixture(params=TARGETS, ids=lambda make: make.__name__)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    with ExitStack() as stack:
        yield request.param(tmp_path, stack)


@pytest.fixture(scope="module")
def killer() -> Iterator[killed.Killer]:
    with killed.killer() as made:
        yield made


def leftovers(live: Path) -> list[str]:
    """What of Diskette's lies in or beside a storage."""
    live = live.resolve()
    return [path.name for each in (live, live.parent) for path in each.glob(".*diskette-*")]


def test_the_staged_files_take_the_place_of_the_live_ones_which_are_kept(target):
    stage_new(target.live)
    assert (files_in(target.live) if target.live.exists() else {}) == target.before

    swap(target.live, RUN)

    assert files_in(target.live) == NEW
    old = Place.found(target.live, RUN).old
    assert (files_in(old) if old.exists() else {}) == target.before


def test_settling_removes_the_old_files_and_nothing_else(target):
    stage_new(target.live)
    swap(target.live, RUN)

    settle(target.live, RUN)
    settle(target.live, RUN)

    assert files_in(target.live) == NEW
    assert leftovers(target.live) == []


def test_a_swap_that_is_done_may_be_repeated(target):
    stage_new(target.live)
    for _ in range(3):
        swap(target.live, RUN)
    settle(target.live, RUN)
    swap(target.live, RUN)

    assert files_in(target.live) == NEW


def test_discarding_leaves_the_live_files_as_they_were(target):
    stage_new(target.live)

    discard(target.live, RUN)
    discard(target.live, RUN)

    assert (files_in(target.live) if target.live.exists() else {}) == target.before
    assert leftovers(target.live) == []


@pytest.mark.parametrize("make", TARGETS)
def test_a_swap_killed_before_any_change_is_finished_by_repeating_it(tmp_path, killer, make):
    at = 0
    was_killed = True
    while was_killed:
        at += 1
        with ExitStack() as stack:
            target = make(room(tmp_path, at), stack)
            stage_new(target.live)

            was_killed = killer.swap(target.live, RUN, at)
            assert everything(target.live) >= {*NEW.items(), *target.before.items()}
            swap(target.live, RUN)

            assert_swapped(target)
    assert at >= 2


@pytest.mark.parametrize("make", [full, mount_point, image])
def test_a_swap_killed_twice_is_finished_by_repeating_it(tmp_path, killer, make):
    for at in range(1, 9):
        for again in range(1, 4):
            with ExitStack() as stack:
                target = make(room(tmp_path, at * 10 + again), stack)
                stage_new(target.live)

                killer.swap(target.live, RUN, at)
                killer.swap(target.live, RUN, again)
                swap(target.live, RUN)

                assert_swapped(target)


def room(tmp_path: Path, number: int) -> Path:
    path = tmp_path / str(number)
    path.mkdir()
    return path


def everything(live: Path) -> set[tuple[str, bytes]]:
    """Every file in or beside a storage, wherever a swap has put it so far."""
    live = live.resolve()
    place = Place.found(live, RUN)
    roots = [root for root in (live, place.staged, place.arriving, place.old) if root.exists()]
    return {item for root in roots for item in files_in(root).items()}


def assert_swapped(target: Target) -> None:
    assert files_in(target.live) == NEW
    old = Place.found(target.live, RUN).old
    assert (files_in(old) if old.exists() else {}) == target.before
    settle(target.live, RUN)
    assert files_in(target.live) == NEW
    assert leftovers(target.live) == []


def test_what_the_site_wrote_between_the_renames_does_not_stop_the_swap(tmp_path, killer):
    live = full(tmp_path, ExitStack()).live
    stage_new(live)
    assert killer.swap(live, RUN, at=2)
    assert not live.exists()
    put(live, {"upload.txt": b"between", "both.txt": b"between"})

    swap(live, RUN)

    assert files_in(live) == NEW
    assert b"between" in files_in(Place.found(live, RUN).old).values()
    assert OLD.items() <= files_in(Place.found(live, RUN).old).items()


def test_what_the_site_wrote_into_a_mount_point_meanwhile_does_not_stop_the_swap(tmp_path):
    with ExitStack() as stack:
        live = mount_point(tmp_path, stack).live
        stage_new(live)
        place = Place.found(live, RUN)
        place.staged.rename(place.arriving)
        place.old.mkdir()

        swap(live, RUN)

        assert files_in(live) == NEW | {"old.txt": b"old"}
        assert files_in(place.old)["both.txt"] == b"old"


def test_a_link_in_place_of_the_storage_stays_a_link(tmp_path):
    with ExitStack() as stack:
        target = linked(tmp_path, stack)
        stage_new(target.live)

        swap(target.live, RUN)

        assert target.live.is_symlink()
        assert files_in(tmp_path / "disk" / "files") == NEW


def test_a_swap_that_has_begun_cannot_be_discarded_or_settled(tmp_path, killer):
    live = full(tmp_path, ExitStack()).live
    stage_new(live)
    assert killer.swap(live, RUN, at=2)

    with pytest.raises(StorageError, match="can only be finished, not undone"):
        discard(live, RUN)
    with pytest.raises(StorageError, match="has not put its files in place yet"):
        settle(live, RUN)

    swap(live, RUN)
    assert files_in(live) == NEW


def test_settling_before_the_swap_keeps_everything(tmp_path):
    live = full(tmp_path, ExitStack()).live
    stage_new(live)

    with pytest.raises(StorageError, match="so the old ones are kept"):
        settle(live, RUN)

    assert files_in(live) == OLD


def test_a_swap_of_nothing_says_so(tmp_path):
    with pytest.raises(StorageError, match="nothing is staged for it and nothing is there"):
        swap(tmp_path / "media", RUN)


def test_the_trees_of_another_run_are_left_alone(tmp_path):
    live = full(tmp_path, ExitStack()).live
    other = live.with_name(f".media.diskette-{OTHER_RUN}.staged")
    put(other, {"theirs": b"x"})
    stage_new(live)

    swap(live, RUN)
    settle(live, RUN)

    assert files_in(other) == {"theirs": b"x"}


def test_a_directory_that_became_a_mount_point_says_what_to_do(tmp_path):
    live = full(tmp_path, ExitStack()).live
    stage_new(live)

    with mounted(live), pytest.raises(StorageError, match="has become a mount point"):
        swap(live, RUN)
    swap(live, RUN)

    assert files_in(live) == NEW


def test_a_storage_with_something_mounted_in_it_is_refused_before_anything_happens(tmp_path):
    live = full(tmp_path, ExitStack()).live
    with mounted(live / "videos") as videos:
        (videos / "film").touch()

        with pytest.raises(StorageError, match=f"{videos} is mounted in it"):
            stage_new(live)

        assert (videos / "film").exists()
    assert leftovers(live) == []


@pytest.mark.parametrize("make", TARGETS)
def test_room_is_needed_where_the_tree_is_staged(tmp_path, make):
    with ExitStack() as stack:
        live = make(tmp_path, stack).live

        assert staged_in(live) == Place.for_staging(live, RUN).staged.parent


def test_the_table_of_mounts_names_directories_as_they_are_spelled(tmp_path):
    with mounted(tmp_path / "with a space\tand\\more") as directory:
        assert str(directory) in mount_points()


# As an ordinary user.


def test_read_only_directories_are_restored_and_replaced_by_an_ordinary_user(tmp_path, awkward):
    workspace, site = tmp_path / "w", tmp_path / "theirs"
    workspace.mkdir()
    site.mkdir()
    with nobody(workspace, site):
        part = collected(awkward, workspace)
        for run in (RUN, OTHER_RUN):
            staged(part, workspace, site / "media", run)
            swap(site / "media", run)
            settle(site / "media", run)

        assert modes(site / "media") == modes(awkward.root)
        assert [path.name for path in site.iterdir()] == ["media"]


def test_a_user_who_may_not_write_beside_a_storage_has_it_replaced_one_level_down(tmp_path):
    workspace, live = tmp_path / "w", tmp_path / "roots" / "media"
    workspace.mkdir()
    live.mkdir(parents=True)
    with nobody(workspace, live):
        put(live, OLD)
        (live / "dir").chmod(0o555)
        closed = entry("dir", Kind.DIRECTORY, mode=0o555)
        members = [ROOT, (closed, b""), (entry("dir/x", content=b"new"), b"new")]
        promise = handmade(workspace, *members)
        stage(promise, workspace / "tree", workspace / "index", live, RUN, tick=uncounted)
        assert leftovers(live) == [f".diskette-{RUN}.staged"]

        swap(live, RUN)
        assert files_in(live) == {"dir/x": b"new"}
        assert (live / "dir").stat().st_mode & 0o777 == 0o555
        settle(live, RUN)

        assert leftovers(live) == []


def test_an_unreadable_file_is_named_and_the_rest_collected(tmp_path, media):
    (tmp_path / "w").mkdir()
    with nobody(media.root, tmp_path / "w"):
        put(media.root, {"readable": b"x", "closed": b"x", "dir/file": b"x"})
        (media.root / "closed").chmod(0)
        (media.root / "dir").chmod(0)

        part = collected(media, tmp_path / "w")

    (found,) = part.findings
    assert (found.code, found.severity, found.count) == ("file-unreadable", "error", 2)
    assert found.keys == ("closed (Permission denied)", "dir (Permission denied)")
    assert part.files == 1


def modes(root: Path) -> dict[str, object]:
    return {path: (shape[0], shape[1]) for path, shape in look(root).items()}


def test_merging_deletes_nothing_wherever_the_storage_lies(tmp_path, target):
    """Not even what comes to it after the new tree was staged."""
    archived = tmp_path / "archived"
    put(archived, NEW)
    os.utime(archived / "dir", ns=(1, 1))
    part = collected(Storage(name="media", root=archived, excludes=()), tmp_path / "w")

    live, late = target.live, {"late.txt": b"late", "dir/late": b"late"}
    index = tmp_path / "w" / "index"
    with (tmp_path / "w" / "tree").open("rb") as tree:
        stage(promised(part), tree, index, live, RUN, tick=uncounted, merging=True)
    assert (files_in(live) if live.exists() else {}) == target.before
    if target.before:
        put(live, late)
    swap(live, RUN)
    settle(live, RUN, merging=True)
    settle(live, RUN, merging=True)

    assert files_in(live) == target.before | NEW | (late if target.before else {})
    assert (live / "dir").stat().st_mtime_ns == 1
    assert leftovers(live) == []
