from __future__ import annotations

import io
import os
import re
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskette.core.exceptions import (
    ArchiveError,
    ChecksumMismatch,
    DisketteError,
    ForeignArchive,
    InsufficientSpace,
    Stopped,
    StorageError,
    UnsafeMember,
)
from diskette.core.manifest import StorageEntry
from diskette.core.tar import END
from diskette.storages import check, collect, discard, settle, stage, swap
from diskette.storages.index import Kind
from tests.storages import trees
from tests.storages.trees import (
    OLD,
    ROOT,
    RUN,
    collected,
    entry,
    handmade,
    look,
    promised,
    staged,
    uncounted,
    written,
)


@pytest.fixture
def workspace(tmp_path):
    return tmp_path / "w"


@pytest.fixture
def live(tmp_path):
    """Where the files are to lie; its parent exists and holds nothing else."""
    (tmp_path / "target").mkdir()
    return tmp_path / "target" / "media"


def unpack(promise: StorageEntry, workspace: Path, live: Path) -> Path:
    return stage(promise, workspace / "tree", workspace / "index", live, RUN, tick=uncounted).tree


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_what_is_put_in_place_is_what_was_collected(awkward, workspace, live):
    before = look(awkward.root)
    part = collected(awkward, workspace)

    found = staged(part, workspace, live)

    assert found == live.with_name(f".media.diskette-{RUN}.staged")
    assert not live.exists()
    assert look(found) == before
    swap(live, RUN)
    settle(live, RUN)
    assert look(live) == before
    assert (live / "second name").samefile(live / "text.txt")
    assert [path.name for path in live.parent.iterdir()] == ["media"]


def test_holes_come_back_as_holes(media, workspace, live):
    trees.make_sparse(media.root / "disk", 1 << 40, (1 << 30, b"here"), ((1 << 39), b"there"))
    trees.make_sparse(media.root / "ends in data", 1 << 30, ((1 << 30) - 5, b"there"))
    trees.make_sparse(media.root / "empty", 20 << 30)
    torn = [(number * 2 * trees.BLOCK, b"%d" % number) for number in range(1500)]
    trees.make_sparse(media.root / "torn", 3001 * trees.BLOCK, *torn)

    found = staged(collected(media, workspace), workspace, live)

    for name in ("disk", "ends in data", "empty", "torn"):
        old, new = media.root / name, found / name
        assert new.stat().st_size == old.stat().st_size
        assert new.stat().st_mtime_ns == old.stat().st_mtime_ns
        assert new.stat().st_blocks * 512 <= old.stat().st_blocks * 512 + 1502 * trees.BLOCK
    assert (found / "torn").read_bytes() == (media.root / "torn").read_bytes()
    with (found / "disk").open("rb") as disk:
        for at, content in ((1 << 30, b"here"), (1 << 39, b"there"), (0, bytes(9))):
            disk.seek(at)
            assert disk.read(len(content)) == content


def test_a_hole_is_no_way_around_a_digest(workspace, live):
    sparse = entry("a", content=b"x" * 512, extents=((512, 512),), size=2048)
    promise = handmade(workspace, ROOT, (sparse, b"y" * 512))

    with pytest.raises(ChecksumMismatch):
        unpack(promise, workspace, live)


def test_a_tree_is_unpacked_from_where_it_lies_in_an_archive(awkward, workspace, live):
    part = collected(awkward, workspace)
    raw = (workspace / "tree").read_bytes()

    found, _ = stage(
        promised(part), io.BytesIO(raw), workspace / "index", live, RUN, tick=uncounted
    )

    assert look(found) == look(awkward.root)


def test_an_empty_storage_is_an_empty_directory_again(media, workspace, live):
    staged(collected(media, workspace), workspace, live)
    swap(live, RUN)

    assert list(live.iterdir()) == []


def test_a_target_whose_parents_are_missing_is_made(awkward, workspace, live):
    deep = live / "not" / "made" / "yet"

    staged(collected(awkward, workspace), workspace, deep)
    swap(deep, RUN)

    assert look(deep) == look(awkward.root)


def test_ticks_count_the_bytes_written(awkward, workspace, live):
    ticks: list[int] = []
    part = collected(awkward, workspace)

    stage(promised(part), workspace / "tree", workspace / "index", live, RUN, tick=ticks.append)

    assert sum(ticks) == part.raw_bytes


def test_staging_again_replaces_what_an_attempt_before_left(awkward, workspace, live):
    part = collected(awkward, workspace)
    for what in ("staging", "staged"):
        left = live.with_name(f".media.diskette-{RUN}.{what}")
        left.mkdir()
        (left / "rubbish").touch()

    found = staged(part, workspace, live)

    assert look(found) == look(awkward.root)
    assert [path.name for path in live.parent.iterdir()] == [found.name]


def test_staging_that_comes_late_changes_nothing(awkward, workspace, live):
    part = collected(awkward, workspace)
    live.mkdir()
    staged(part, workspace, live)
    swap(live, RUN)

    staged(part, workspace, live)

    assert sorted(each.name for each in live.parent.iterdir()) == [
        f".media.diskette-{RUN}.old",
        "media",
    ]


def test_a_stop_leaves_nothing_and_the_live_files_alone(awkward, workspace, live):
    def stop(_):
        raise Stopped

    live.mkdir()
    (live / "file").write_bytes(b"live")
    part = collected(awkward, workspace)
    opened = open_files()

    with pytest.raises(Stopped):
        stage(promised(part), workspace / "tree", workspace / "index", live, RUN, tick=stop)

    assert open_files() == opened
    assert [path.name for path in live.parent.iterdir()] == ["media"]
    assert (live / "file").read_bytes() == b"live"


def test_a_late_copy_leaves_the_tree_of_the_next_one_alone(awkward, workspace, live):
    """It stops at its first tick, and goes on at the first tick of the one that took over."""
    before = look(awkward.root)
    part = collected(awkward, workspace)
    stopped, woken = threading.Event(), threading.Event()

    def fence() -> None:
        if stopped.is_set():
            raise Stopped

    def wait(_) -> None:
        stopped.set()
        assert woken.wait(30)

    with ThreadPoolExecutor(1) as other:
        names = (promised(part), workspace / "tree", workspace / "index", live, RUN)
        late = other.submit(stage, *names, tick=wait, fence=fence)
        assert stopped.wait(30)

        def wake(_) -> None:
            woken.set()
            assert isinstance(late.exception(30), (StorageError, Stopped))

        found = stage(*names, tick=wake).tree

    assert look(found) == before
    assert [path.name for path in live.parent.iterdir()] == [found.name]


def test_a_late_copy_does_not_remove_what_the_next_one_has_staged(media, workspace, live):
    part = collected(media, workspace)
    found = staged(part, workspace, live)
    names = (promised(part), workspace / "tree", workspace / "index", live, RUN)

    def fence() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        stage(*names, tick=uncounted, fence=fence)

    assert look(found) == look(media.root)


def test_a_full_disk_is_named_and_nothing_is_left(media, workspace, small_disk):
    (media.root / "video").write_bytes(os.urandom(12_000_000))
    part = collected(media, workspace)

    with pytest.raises(InsufficientSpace) as refused:
        staged(part, workspace, small_disk / "media")

    assert refused.value.directory == str(small_disk)
    assert refused.value.needed == 12_000_000
    assert list(small_disk.iterdir()) == []


def test_a_target_that_is_a_file_is_refused(awkward, workspace, live):
    live.write_bytes(b"a file")

    with pytest.raises(StorageError, match="is no directory"):
        staged(collected(awkward, workspace), workspace, live)


def test_a_file_that_shrank_ends_where_it_ended(media, workspace, live):
    (media.root / "log").write_bytes(b"x" * 3_000_000)
    (media.root / "next").write_bytes(b"next")
    workspace.mkdir()

    def shrink(size: int) -> None:
        if size:
            os.truncate(media.root / "log", 10)

    part = collect(media, workspace / "tree", workspace / "index", tick=shrink)
    found = staged(part, workspace, live)

    assert (found / "log").read_bytes() == b"x" * (1 << 20)
    assert (found / "next").read_bytes() == b"next"


def test_a_file_that_could_not_be_read_to_its_end_is_not_restored(workspace, live):
    broken = entry("broken", Kind.UNREADABLE, b"hal", padding=4)
    promise = handmade(workspace, ROOT, (broken, b"hal\0\0\0\0"), (entry("z", content=b"z"), b"z"))

    found = unpack(promise, workspace, live)

    assert [path.name for path in found.iterdir()] == ["z"]


def test_a_file_is_nobody_elses_program(workspace, live):
    program = entry("program", content=b"#!", mode=0o6755)
    promise = handmade(workspace, ROOT, (program, b"#!"))

    found = unpack(promise, workspace, live)

    assert (found / "program").stat().st_mode & 0o7777 == 0o755


# From here on: trees that Diskette did not make.


def refused(workspace: Path, live: Path, promise: StorageEntry, kind: type[DisketteError]) -> str:
    """The message with which a tree is refused, once it is sure that nothing is left of it."""
    with pytest.raises(kind) as error:
        unpack(promise, workspace, live)
    assert list(live.parent.iterdir()) == []
    return str(error.value)


LINK = Kind.LINK


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ([entry("../evil", content=b"x")], "leaves the storage"),
        ([entry("a/../../evil", content=b"x")], "leaves the storage"),
        ([entry("..", Kind.DIRECTORY)], "leaves the storage"),
        ([entry("/etc/evil", content=b"x")], "is an absolute path"),
        ([entry("a//b", content=b"x")], "is spelled in a way"),
        ([entry("./a", content=b"x")], "is spelled in a way"),
        ([entry("a/", content=b"x")], "is spelled in a way"),
        ([entry("n" * 300, content=b"x")], "is longer than any path"),
        ([entry("d/" * 250 + "f", content=b"x")], "is longer than any path"),
        ([entry(".", content=b"x")], "is no directory"),
        ([entry(".", Kind.DIRECTORY)], "comes twice"),
        ([entry("a", content=b"x"), entry("a", content=b"x")], "comes twice"),
        ([entry("a", Kind.DIRECTORY), entry("a", Kind.DIRECTORY)], "comes twice"),
        ([entry("a/b", content=b"x")], "comes before its directory"),
        ([entry("a", content=b"x"), entry("a/b", content=b"x")], "comes before its directory"),
        ([entry("link", LINK, target="/etc/passwd")], "points out of the storage"),
        ([entry("link", LINK, target="../../etc")], "points out of the storage"),
        ([entry("link", LINK, target="a/../../etc")], "points out of the storage"),
        ([entry("l", LINK, target="."), entry("l/evil", content=b"x")], "comes before"),
        ([entry("l", LINK, target="."), entry("l", content=b"x")], "comes twice"),
        ([entry("h", Kind.HARD_LINK, target="/etc/passwd")], "is an absolute path"),
        ([entry("h", Kind.HARD_LINK, target="../x")], "leaves the storage"),
        ([entry("h", Kind.HARD_LINK, target="later")], "did not come before it"),
        ([entry("l", LINK, target="x"), entry("h", Kind.HARD_LINK, target="l")], "no file"),
        ([entry("l", LINK, target="."), entry("h", Kind.HARD_LINK, target="l/f")], "before it"),
        ([entry("d", Kind.DIRECTORY), entry("h", Kind.HARD_LINK, target="d")], "no file"),
        ([entry(f".diskette-{RUN}.old", Kind.DIRECTORY)], "a name of Diskette's own"),
        ([entry(f".a.diskette-{RUN}.staged", content=b"x")], "a name of Diskette's own"),
    ],
    ids=[
        "..", "a/../..", ".. directory", "absolute", "//", "./", "slash", "long", "deep",
        "root file", "two roots", "file twice", "directory twice", "no directory",
        "file as directory", "absolute link", "climbing link", "winding link", "through a link",
        "over a link", "absolute hard link", "climbing hard link", "hard link to later",
        "hard link to link", "hard link through link", "hard link to directory", "old", "staged",
    ],
)  # fmt: skip
def test_a_member_that_would_leave_its_place_is_unsafe_and_nothing_is_left(
    workspace, live, members, cause
):
    contents = [(each, b"x" * each.size) for each in members]

    assert cause in refused(workspace, live, handmade(workspace, ROOT, *contents), UnsafeMember)


@pytest.mark.parametrize(
    ("hostile", "promises", "cause"),
    [
        (entry("../evil", content=b"x"), {}, "leaves the storage"),
        (entry("/etc/evil", content=b"x"), {}, "is an absolute path"),
        (entry("a/b", content=b"x"), {}, "comes before its directory"),
        (entry(".", Kind.DIRECTORY), {}, "comes twice"),
        (entry("link", LINK, target="/etc/passwd"), {}, "points out of the storage"),
        (entry("h", Kind.HARD_LINK, target="../x"), {}, "leaves the storage"),
        (entry("a", content=b"x" * 99), {"raw_bytes": 98}, "more than the manifest promises"),
        (entry("a", content=b"x"), {"files": 0}, "more than the manifest promises"),
        (entry("a", content=b"x"), {"files": 2}, "holds 1 files of 1 bytes"),
        (entry("a", content=b"x"), {"entries": 1}, "lists more than the 1 entries"),
    ],
)
def test_an_index_is_found_out_before_anything_is_unpacked(workspace, hostile, promises, cause):
    promise = handmade(workspace, ROOT, (hostile, b"x" * hostile.size), **promises)

    with pytest.raises(ArchiveError, match=re.escape(cause)):
        check(promise, workspace / "index", tick=uncounted)


def test_an_index_of_ones_own_is_fine(awkward, workspace):
    part = collected(awkward, workspace)

    check(promised(part), workspace / "index", tick=uncounted)


def test_the_first_entry_must_be_the_storage_itself(workspace, live):
    promise = handmade(workspace, (entry("a", content=b"x"), b"x"))

    assert "comes before its directory" in refused(workspace, live, promise, UnsafeMember)


def test_a_tree_of_nothing_is_refused(workspace, live):
    assert "it is empty" in refused(workspace, live, handmade(workspace), ForeignArchive)


def test_a_device_is_no_entry(workspace, live):
    device = replace(entry("null").header(), kind="3")
    promise = handmade(workspace, ROOT, (entry("null"), b""))
    tree = ROOT[0].header().to_bytes() + device.to_bytes() + END
    promise = replace(promise, tree=written(workspace / "tree", tree))

    assert "null is 'null' in the index" in refused(workspace, live, promise, ForeignArchive)


def test_a_file_that_is_not_the_one_indexed_is_a_checksum_mismatch(workspace, live):
    good = [(entry(f"b{number}", content=b"good"), b"good") for number in range(500)]
    promise = handmade(workspace, ROOT, (entry("a", content=b"good"), b"evil"), *good)
    opened = open_files()

    assert "a: expected SHA-256" in refused(workspace, live, promise, ChecksumMismatch)
    assert open_files() == opened


def test_an_index_of_other_files_is_refused(workspace, live):
    members = [ROOT, (entry("a", content=b"x"), b"x"), (entry("b", content=b"x"), b"x")]
    a, b = entry("a", content=b"x"), entry("b", content=b"x")
    root = entry(".", Kind.DIRECTORY)
    for lines, cause in (
        ([root, b, a], "a is 'b' in the index"),
        ([root, a], "lists 2 entries of the 3 promised"),
        ([root, a, b, entry("c")], "lists more than the 3 entries"),
        ([root, a, entry("b", content=b"xy")], "b is 'b' in the index"),
        ([root, a, entry("b", LINK, target="a")], "b is 'b' in the index"),
    ):
        promise = handmade(workspace, *members, lines=[each.to_line() for each in lines])
        assert cause in refused(workspace, live, promise, ForeignArchive)


def test_an_index_that_lists_more_than_the_tree_is_refused(workspace, live):
    lines = [entry(".", Kind.DIRECTORY).to_line(), entry("a").to_line()]
    promise = handmade(workspace, ROOT, lines=lines, entries=2, files=1)

    assert "in the index but not in the tree" in refused(workspace, live, promise, ForeignArchive)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{}", b"[]", b"7", b"not json", b'{"path": "a"}', b"\xff\xfe",
        entry("a").to_line().replace(b'"file"', b'"directory\\u0000"').strip(),
        entry("a").to_line().replace(b'"0644"', b'"99"').strip(),
        entry("a").to_line().replace(b'"0644"', b'"77777"').strip(),
        entry("a").to_line().replace(b'"uid":0', b'"uid":-1').strip(),
        entry("a").to_line().replace(b'"size":0', b'"size":1.5').strip(),
        entry("a").to_line().replace(str(OLD).encode(), b"1" * 30).strip(),
        entry("a").to_line().replace(b'"path":"a"', b'"path":""').strip(),
        entry("a").to_line().replace(b'"path":"a"', b'"path":"a\\u0000b"').strip(),
        entry("a").to_line().replace(b'"path":"a"', b'"path_base64":"not base64!"').strip(),
        entry("a").to_line().replace(b'"path":"a"', b'"path_base64":"/w=="').strip(),
        entry("a").to_line().replace(b'"user":""', b'"user":"a\\u0000"').strip(),
        entry("l", LINK, target="a").to_line().replace(b'"target":"a"', b'"target":7').strip(),
        b'{"path": "%s"}' % (b"x" * 100_000),
    ],
    ids=range(20),
)  # fmt: skip
def test_a_line_that_diskette_would_not_write_is_refused(workspace, live, line):
    lines = [entry(".", Kind.DIRECTORY).to_line(), line + b"\n"]
    promise = handmade(workspace, ROOT, (entry("a"), b""), lines=lines)

    refused(workspace, live, promise, ArchiveError)


@pytest.mark.parametrize(
    "promise", [{"files": 0}, {"files": 2}, {"raw_bytes": 3}, {"raw_bytes": 9}]
)
def test_a_tree_of_more_or_less_than_promised_is_refused(workspace, live, promise):
    found = handmade(workspace, ROOT, (entry("a", content=b"text"), b"text"), **promise)

    assert "promise" in refused(workspace, live, found, ForeignArchive)


def test_a_bomb_is_refused_before_it_is_unpacked(workspace, live):
    huge = replace(entry("a"), size=1 << 50)
    promise = handmade(workspace, ROOT, (huge, b""), raw_bytes=1000)
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    with (workspace / "tree").open("ab") as stream:
        stream.write(bomb)

    assert "holds more than the manifest promises" in refused(
        workspace, live, promise, ForeignArchive
    )


def test_a_bomb_of_lines_is_refused_before_it_fills_the_memory(workspace, live):
    promise = handmade(workspace, ROOT)
    bomb = zstandard.ZstdCompressor().compress(b"x" * (1 << 28))
    (workspace / "index").write_bytes(bomb)

    assert "a line too long" in refused(workspace, live, promise, ArchiveError)


def test_more_bytes_after_the_end_of_a_tree_are_refused(workspace, live):
    promise = handmade(workspace, ROOT)
    for more in (zstandard.ZstdCompressor().compress(b"more"), b"no frame at all"):
        whole = (workspace / "tree").read_bytes()
        (workspace / "tree").write_bytes(whole + more)
        refused(workspace, live, promise, ArchiveError)
        (workspace / "tree").write_bytes(whole)


@pytest.mark.parametrize("member", ["tree", "index"])
def test_a_member_that_is_cut_off_anywhere_is_refused(awkward, workspace, live, member):
    part = collected(awkward, workspace)
    raw = (workspace / member).read_bytes()

    for length in range(0, len(raw) - 1, max(1, len(raw) // 60)):
        (workspace / member).write_bytes(raw[:length])
        refused(workspace, live, promised(part), ArchiveError)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(member=st.sampled_from(["tree", "index"]), place=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_harms_no_content(
    media, workspace, small_disk, member, place, bit
):
    (media.root / "a").write_bytes(b"some words, and the same words again" * 20)
    (media.root / "b").mkdir(exist_ok=True)
    part = collected(media, workspace)
    raw = bytearray((workspace / member).read_bytes())
    raw[int(place * (len(raw) - 1))] ^= 1 << bit
    (workspace / member).write_bytes(raw)

    try:
        found = staged(part, workspace, small_disk / "media")
    except ArchiveError:
        assert list(small_disk.iterdir()) == []
    else:
        assert sorted(each.name for each in found.iterdir()) == ["a", "b"]
        assert (found / "a").read_bytes() == (media.root / "a").read_bytes()
        discard(small_disk / "media", RUN)


def test_directories_that_end_are_not_kept_open(media, workspace, live):
    for number in range(1000):
        (media.root / f"{number}" / "below").mkdir(parents=True)
        (media.root / f"{number}" / "empty").touch()
        os.link(media.root / f"{number}" / "empty", media.root / f"{number}" / "second")
    part = collected(media, workspace)
    before, limits = look(media.root), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(open_files()) + 400, limits[1]))
    try:
        found = staged(part, workspace, live)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert look(found) == before


def test_memory_does_not_grow_with_the_files(media, workspace, live):
    peaks = []
    for count in (50, 2_000):
        for number in range(count):
            (media.root / str(number)).write_bytes(os.urandom(200) * 100)
        part = collected(media, workspace)
        peaks.append(peak(part.files, part.entries, part.raw_bytes, workspace, live))

    assert peaks[1] < peaks[0] * 1.1 + 1_000


MEASURED = """
import resource, sys
from pathlib import Path
from diskette.core.manifest import MemberEntry, StorageEntry
from diskette.storages.staging import stage
files, entries, raw_bytes = map(int, sys.argv[1:4])
tree, index, live = map(Path, sys.argv[4:])
member = MemberEntry(name="tree", bytes=0, sha256="")
entry = StorageEntry(
    name="media", tree=member, index=member, entries=entries, files=files, raw_bytes=raw_bytes,
    excludes=(),
)
stage(entry, tree, index, live, "run", tick=lambda size: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(files: int, entries: int, raw_bytes: int, workspace: Path, live: Path) -> int:
    """Kilobytes that a process takes which stages the storage."""
    numbers = map(str, (files, entries, raw_bytes))
    paths = (workspace / "tree", workspace / "index", live)
    command = [sys.executable, "-c", MEASURED, *numbers, *paths]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)
