from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diskette.core import assembling
from diskette.core.archive import ArchiveReader
from diskette.core.assembling import draft_of, write_archive
from diskette.core.exceptions import ForeignArchive, InsufficientSpace, MemberMissing, Stopped
from tests.core import samples
from tests.core.killed_assembly import INSTANTS, LARGE, REST, TREE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def parts(tmp_path):
    return samples.files(tmp_path / "parts", LARGE)


@pytest.fixture
def whole(tmp_path):
    """What must come of it: an archive that nothing interrupted."""
    path = tmp_path / "whole.tar"
    write_archive(path, samples.manifest(LARGE), samples.files(tmp_path / "its parts", LARGE))
    return path.read_bytes()


def test_a_part_that_changed_since_it_was_made_is_found_when_the_archive_is_read_back(
    tmp_path, parts
):
    parts[TREE].write_bytes(parts[TREE].read_bytes()[::-1])

    write_archive(tmp_path / "shop.tar", samples.manifest(LARGE), parts)

    with ArchiveReader(tmp_path / "shop.tar") as reader:
        assert [finding.code for finding in reader.verify()] == ["checksum-mismatch"]


def test_a_part_of_another_size_than_it_was_is_not_taken_in(tmp_path, parts):
    parts[TREE].write_bytes(b"another")

    with pytest.raises(ForeignArchive, match="7 bytes where the manifest promises 1,000,000"):
        write_archive(tmp_path / "shop.tar", samples.manifest(LARGE), parts)

    assert_untouched(tmp_path, parts)


def test_a_part_that_is_not_there_is_named(tmp_path, parts):
    del parts[TREE]

    with pytest.raises(MemberMissing, match=TREE):
        write_archive(tmp_path / "shop.tar", samples.manifest(LARGE), parts)

    assert_untouched(tmp_path, parts)


def assert_untouched(directory: Path, parts: dict[str, Path]) -> None:
    assert [path.name for path in directory.iterdir()] == ["parts"]
    assert all(path.read_bytes() == LARGE[name] for name, path in parts.items() if name != TREE)


def test_a_piece_is_copied_also_where_the_system_does_not_help(tmp_path):
    (tmp_path / "source").write_bytes(b"content" * 1000)

    # To a file opened for appending, Linux refuses to send.
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("ab") as target:
        assembling._copy(source.fileno(), 70, 6930, target.fileno(), 0)

    assert (tmp_path / "target").read_bytes() == b"content" * 990


def test_parts_go_as_they_are_taken_in(tmp_path, parts):
    seen: list[int] = []

    def look(_: int) -> None:
        left = sum(path.stat().st_blocks for path in parts.values())
        seen.append(512 * (left + (tmp_path / "shop.tar").stat().st_blocks))

    write_archive(tmp_path / "shop.tar", samples.manifest(LARGE), parts, look)

    size = (tmp_path / "shop.tar").stat().st_size
    blocks = 8 * len(LARGE) * os.statvfs(tmp_path).f_bsize
    assert max(seen) <= size + blocks
    assert [path.stat().st_size for path in parts.values()] == [0] * len(parts)


def test_a_stop_is_gone_on_from(tmp_path, parts, whole):
    target = tmp_path / "shop.tar"
    stops = iter([False] * 8 + [True])

    def stop(_: int) -> None:
        if next(stops):
            raise Stopped

    with pytest.raises(Stopped):
        write_archive(target, samples.manifest(LARGE), parts, stop)
    left = parts[TREE].stat().st_size
    assert 0 < left < len(LARGE[TREE])

    told: list[int] = []
    write_archive(target, samples.manifest(LARGE, label="another"), parts, told.append)
    assert target.read_bytes() == whole
    assert sum(told) == sum(map(len, LARGE.values()))


def test_what_another_archive_left_under_the_name_is_replaced(tmp_path, parts, whole):
    target = tmp_path / "shop.tar"
    write_archive(target, samples.manifest(), samples.files(tmp_path / "smaller"))
    draft_of(target).write_bytes(b"begun")

    write_archive(target, samples.manifest(LARGE), parts)

    assert target.read_bytes() == whole
    assert not draft_of(target).exists()


@pytest.mark.parametrize("instant", INSTANTS)
def test_killed_at_any_instant_it_is_gone_on_with_to_the_same_archive(
    tmp_path, parts, whole, instant
):
    words = [sys.executable, "-m", "tests.core.killed_assembly", tmp_path, instant]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert parts[TREE].stat().st_size == REST[instant]

    write_archive(tmp_path / "shop.tar", samples.manifest(LARGE), parts)

    assert (tmp_path / "shop.tar").read_bytes() == whole
    assert not draft_of(tmp_path / "shop.tar").exists()


def test_a_disk_that_fills_up_is_named_and_left_as_it_was(small_disk, tmp_path):
    contents = LARGE | {TREE: os.urandom(12_000_000)}

    with pytest.raises(InsufficientSpace) as refused:
        write_archive(
            small_disk / "shop.tar",
            samples.manifest(contents),
            samples.files(tmp_path / "bulky", contents),
        )

    assert refused.value.directory == str(small_disk)
    assert refused.value.needed > 12_000_000
    assert list(small_disk.iterdir()) == []
