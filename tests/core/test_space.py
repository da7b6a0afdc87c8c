from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from diskette.core.exceptions import InsufficientSpace, StorageError
from diskette.core.space import (
    Need,
    by_place,
    disk_errors_named,
    free,
    named,
    require,
    taken_by,
    taken_in,
)
from tests.filesystems import mounted

MB = 1_000_000


def test_the_room_of_a_directory_that_is_yet_to_be_made_is_its_parents(small_disk):
    assert free(small_disk / "not" / "made" / "yet") == free(small_disk)
    assert 0 < free(small_disk) <= 8 << 20


def test_enough_room_passes(small_disk, tmp_path):
    require([Need(directory=small_disk, bytes=7 * MB, why="the archive")])
    require([])


def test_needs_on_one_filesystem_are_added_up(small_disk):
    needs = [
        Need(directory=small_disk / "archives", bytes=5 * MB, why="the archive"),
        Need(directory=small_disk / "workspace", bytes=6 * MB, why="its parts"),
    ]

    with pytest.raises(InsufficientSpace) as refused:
        require(needs)

    assert refused.value.needed == 11 * MB
    assert refused.value.free == free(small_disk)
    assert str(refused.value).startswith(
        f"The run needs 11.0 MB in {small_disk}/archives "
        "(the archive 5.0 MB, its parts 6.0 MB), 8.4 MB free."
    )


def test_needs_on_different_filesystems_are_not_added_up(small_disk, tmp_path):
    require(
        [
            Need(directory=small_disk, bytes=5 * MB, why="the archive"),
            Need(directory=tmp_path, bytes=5 * MB, why="its parts"),
        ]
    )


def test_every_filesystem_that_lacks_room_is_named(small_disk, tmp_path):
    with pytest.raises(InsufficientSpace) as refused:
        require(
            [
                Need(directory=small_disk, bytes=10 * MB, why="the archive"),
                Need(directory=tmp_path, bytes=10**15, why="its parts"),
            ]
        )

    assert f"needs 1.0 PB in {tmp_path}" in str(refused.value)
    assert f"{small_disk} lacks another 1.6 MB for the archive" in str(refused.value)


def test_more_files_than_there_are_inodes_are_refused(tmp_path):
    with mounted(tmp_path / "disk", "size=8m,nr_inodes=50") as disk:
        require([Need(directory=disk, bytes=MB, files=40, why="storage media")])
        with pytest.raises(InsufficientSpace, match=r"1,000,000 files, where 4\d more"):
            require([Need(directory=disk, bytes=MB, files=1_000_000, why="storage media")])


def test_what_one_phase_took_a_later_one_may_use(small_disk):
    parts = Need(directory=small_disk, bytes=5 * MB, place="workspace", why="the parts")
    archive = Need(directory=small_disk, bytes=6 * MB, place="destination", why="the archive")

    require([parts], [archive])

    with pytest.raises(
        InsufficientSpace, match=r"needs 11.0 MB in .* \(the parts 5.0 MB, the arch"
    ):
        require([parts], [parts, archive], [archive])
    assert by_place([parts], [parts, archive]) == {"workspace": 5 * MB, "destination": 6 * MB}


def test_room_on_a_server_is_told_and_not_looked_for(small_disk):
    rows = Need(directory=None, bytes=10**15, place="database", why="the staged rows")

    require([rows])

    assert by_place([rows], [rows, rows]) == {"database": 2 * 10**15}


def test_files_take_whole_blocks(tmp_path):
    block = os.statvfs(tmp_path).f_frsize
    assert taken_by(tmp_path / "new", bytes_=100, files=3) == 3 * block
    assert taken_by(tmp_path / "new", bytes_=100 * block, files=10) == 105 * block


def test_what_a_directory_takes_is_that_of_its_files(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"x" * 10_000)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 30)
    assert 10_000 <= taken_in(tmp_path) < 20_000
    assert taken_in(tmp_path / "nowhere") == 0


def test_a_disk_that_fills_up_in_the_middle_is_named(small_disk):
    with (
        pytest.raises(InsufficientSpace) as refused,
        disk_errors_named(small_disk, needed=20 * MB),
        (small_disk / "big").open("wb") as stream,
    ):
        while True:
            stream.write(bytes(MB))

    assert refused.value.directory == str(small_disk)
    assert refused.value.needed == 20 * MB
    assert refused.value.free < MB


def test_a_disk_without_inodes_says_that_room_is_not_what_lacks(tmp_path):
    with (
        mounted(tmp_path / "disk", "size=8m,nr_inodes=50") as disk,
        pytest.raises(InsufficientSpace, match="its inodes are used up"),
        disk_errors_named(disk),
    ):
        for number in range(60):
            (disk / str(number)).symlink_to("nowhere")


def test_a_forbidden_directory_tells_the_cure(tmp_path):
    with (
        pytest.raises(StorageError, match="Let the user that Diskette runs as read and write"),
        disk_errors_named(tmp_path),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ESTALE])
def test_a_place_that_is_away_is_named_with_its_cure(number):
    error = named(OSError(number, os.strerror(number)), Path("/mnt/backups"))
    assert str(error).startswith(f"/mnt/backups: {os.strerror(number)}. Make it or mount it")
