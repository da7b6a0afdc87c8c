from __future__ import annotations

import errno
import io
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import zstandard

from diskette.core.checksum import Tally, digest_of
from diskette.core.exceptions import InsufficientSpace, Stopped, StorageError
from diskette.core.report import Severity
from diskette.storages import Storage, collect, collecting, measure, walking
from tests import servers
from tests.filesystems import nobody
from tests.storages import trees
from tests.storages.trees import NOT_UTF8, RUN, collected, uncounted


def index(workspace: Path) -> list[dict[str, object]]:
    with (workspace / "index").open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    return [orjson.loads(line) for line in lines.splitlines()]


def paths(workspace: Path) -> list[str]:
    return [str(line.get("path", line.get("path_base64"))) for line in index(workspace)]


def exclude(storage: Storage, *patterns: str) -> Storage:
    return replace(storage, excludes=patterns)


def test_everything_is_collected_and_counted(awkward, tmp_path):
    part = collected(awkward, tmp_path / "w")

    assert part.findings == ()
    assert (part.entries, part.files) == (18, 12)
    assert part.raw_bytes == sum(int(str(line.get("size", 0))) for line in index(tmp_path / "w"))
    assert part.tree.name == "storages/media.tar.zst"
    assert part.index.name == "storages/media.index.jsonl.zst"
    for member, file in ((part.tree, "tree"), (part.index, "index")):
        found = digest_of(tmp_path / "w" / file)
        assert (member.bytes, member.sha256) == (found.size, found.hex)


def test_the_index_tells_each_entry_in_the_order_of_the_tree(media, tmp_path):
    (media.root / "a").mkdir()
    (media.root / "a" / "file").write_bytes(b"content")
    (media.root / "a" / "file").chmod(0o640)
    (media.root / "a" / "link").symlink_to("file")

    collected(media, tmp_path / "w")

    assert paths(tmp_path / "w") == [".", "a", "a/file", "a/link"]
    file, link = index(tmp_path / "w")[2:]
    assert file["type"] == "file"
    assert (file["size"], file["mode"]) == (7, "0640")
    assert file["sha256"] == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert file["mtime_ns"] == (media.root / "a" / "file").stat().st_mtime_ns
    assert (link["type"], link["target"]) == ("link", "file")


def test_every_name_in_an_index_is_documented(awkward, tmp_path):
    page = Path(__file__).resolve().parents[2] / "docs" / "archive.md"
    documented = set(re.findall(r"`(\w+)`", page.read_text()))

    collected(awkward, tmp_path / "w")

    assert {name for line in index(tmp_path / "w") for name in line} <= documented


def test_a_name_that_is_no_text_is_carried_as_its_bytes(media, tmp_path):
    (media.root / NOT_UTF8).write_bytes(b"x")

    collected(media, tmp_path / "w")

    assert index(tmp_path / "w")[1]["path_base64"] == "Y2Fm6SD/LmpwZw=="


def test_tar_and_zstd_alone_unpack_it(awkward, tmp_path):
    collected(awkward, tmp_path / "w")
    (tmp_path / "by hand").mkdir()

    zstd = servers.program("zstd")
    subprocess.run(
        f"{zstd} -dc {tmp_path}/w/tree | tar x -C '{tmp_path}/by hand'", shell=True, check=True
    )
    differences = subprocess.run(
        ["diff", "-r", "--no-dereference", awkward.root, tmp_path / "by hand"], check=False
    )

    assert differences.returncode == 0
    assert (tmp_path / "by hand" / "second name").stat().st_nlink == 2


def test_an_empty_storage_is_kept(media, tmp_path):
    part = collected(media, tmp_path / "w")

    assert (part.entries, part.files, part.raw_bytes) == (1, 0, 0)
    assert paths(tmp_path / "w") == ["."]


def test_a_storage_that_is_a_link_is_collected_from_where_it_leads(media, tmp_path):
    (media.root / "file").touch()
    (tmp_path / "link").symlink_to(media.root)

    collected(replace(media, root=tmp_path / "link"), tmp_path / "w")

    assert paths(tmp_path / "w") == [".", "file"]


def test_dense_files_are_stored_and_plain_ones_squeezed(media, tmp_path):
    (media.root / "photo.jpg").write_bytes(os.urandom(3_000_000))
    assert collected(media, tmp_path / "w").tree.bytes < 3_000_000 * 1.001

    (media.root / "photo.jpg").write_bytes(b"photo " * 500_000)
    assert collected(media, tmp_path / "w").tree.bytes < 10_000


def test_holes_are_neither_read_nor_counted(media, tmp_path):
    trees.make_sparse(media.root / "sparse", 1 << 40, (1 << 30, b"here"), ((1 << 40) - 5, b"there"))
    trees.make_sparse(media.root / "empty", 8 << 30)

    part = collected(media, tmp_path / "w")

    measured = measure(media)
    assert (measured.files, measured.bytes) == (2, part.raw_bytes)
    assert measured.packed_tree < 10_000
    assert part.raw_bytes <= 4 * trees.BLOCK
    assert part.findings == ()
    empty, sparse = index(tmp_path / "w")[1:]
    assert (empty["size"], empty["extents"]) == (8 << 30, [])
    assert [start for start, _ in sparse["extents"]] == [1 << 30, (1 << 40) - trees.BLOCK]


def test_more_holes_than_a_header_names_are_taken_for_zeros(media, tmp_path):
    parts = [(number * 2 * trees.BLOCK, b"x") for number in range(1500)]
    trees.make_sparse(media.root / "torn", 3001 * trees.BLOCK, *parts)

    collected(media, tmp_path / "w")

    extents = index(tmp_path / "w")[1]["extents"]
    assert len(extents) == 1000
    assert sum(extents[-1]) == 3001 * trees.BLOCK


def test_a_sparse_file_that_shrinks_keeps_its_size(media, tmp_path):
    trees.make_sparse(media.root / "disk", 9 << 20, (0, b"x" * (3 << 20)))

    found = meddled(media, tmp_path, lambda: os.truncate(media.root / "disk", 10), after=1_500_000)

    assert (found.code, found.keys) == ("file-changed", ("disk",))
    disk = index(tmp_path / "w")[1]
    assert (disk["size"], disk["padding"], disk["extents"]) == (9 << 20, 0, [[0, 3 << 20]])


def test_a_directory_of_very_many_names_is_collected_by_parts(media, tmp_path, monkeypatch):
    monkeypatch.setattr(walking, "BATCH_NAMES", 10)
    for number in range(35):
        (media.root / f"{number:02}").touch()

    collected(media, tmp_path / "w")

    assert sorted(paths(tmp_path / "w")) == [".", *(f"{number:02}" for number in range(35))]


def test_measuring_counts_what_collecting_would_read(awkward):
    measured = measure(exclude(awkward, "second name"))

    assert measured.files == 11
    assert measured.bytes == 200_000 + 22 + 7 + 31 * 60_000 + 9 + 10


def test_ticks_count_the_bytes_read(awkward, tmp_path):
    ticks: list[int] = []
    (tmp_path / "w").mkdir()

    part = collect(awkward, tmp_path / "w" / "tree", tmp_path / "w" / "index", tick=ticks.append)

    assert sum(ticks) == part.raw_bytes


def test_a_stop_leaves_nothing(awkward, tmp_path):
    def stop(_):
        raise Stopped

    (tmp_path / "w").mkdir()
    with pytest.raises(Stopped):
        collect(awkward, tmp_path / "w" / "tree", tmp_path / "w" / "index", tick=stop)

    assert list((tmp_path / "w").iterdir()) == []


def test_a_full_disk_is_named_and_nothing_is_left(media, small_disk):
    (media.root / "video").write_bytes(os.urandom(12_000_000))

    with pytest.raises(InsufficientSpace) as refused:
        collect(media, small_disk / "tree", small_disk / "index", tick=uncounted)

    assert refused.value.directory == str(small_disk)
    assert list(small_disk.iterdir()) == []


class FullOnce(Tally):
    """No disk is full at just one moment because a test wants it."""

    refusals = 0

    def write(self, chunk: bytes, /) -> None:
        if isinstance(self._target, io.BufferedWriter) and self.bytes > 2_000_000:
            FullOnce.refusals += 1
            if FullOnce.refusals == 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(chunk)


def test_a_disk_that_is_full_for_a_moment_is_no_file_that_cannot_be_read(
    media, tmp_path, monkeypatch
):
    (media.root / "video").write_bytes(os.urandom(12_000_000))
    (tmp_path / "w").mkdir()
    monkeypatch.setattr(collecting, "Tally", FullOnce)
    monkeypatch.setattr(FullOnce, "refusals", 0)

    with pytest.raises(InsufficientSpace):
        collect(media, tmp_path / "w" / "tree", tmp_path / "w" / "index", tick=uncounted)

    assert FullOnce.refusals == 1
    assert list((tmp_path / "w").iterdir()) == []


# Exclusions.


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ([], "., cache, cache/a, cache/b, cache/b/c.tmp, keep.txt, x.tmp"),
        (["*.tmp"], "., cache, cache/a, cache/b, keep.txt"),
        (["cache/*"], "., cache, keep.txt, x.tmp"),
        (["cache*"], "., keep.txt, x.tmp"),
        (["cache"], "., cache, cache/a, cache/b, cache/b/c.tmp, keep.txt, x.tmp"),
        (["cache/b/*", "keep.???"], "., cache, cache/a, cache/b, x.tmp"),
        (["[kx]*"], "., cache, cache/a, cache/b, cache/b/c.tmp"),
        (["*"], "."),
        (
            ["media/cache/*", "/cache/*"],
            "., cache, cache/a, cache/b, cache/b/c.tmp, keep.txt, x.tmp",
        ),
    ],
    ids=str,
)
def test_patterns_are_matched_with_the_path_of_a_file_in_its_storage(
    media, tmp_path, patterns, left
):
    (media.root / "cache" / "b").mkdir(parents=True)
    for name in ("cache/a", "cache/b/c.tmp", "keep.txt", "x.tmp"):
        (media.root / name).touch()

    part = collected(exclude(media, *patterns), tmp_path / "w")

    assert ", ".join(paths(tmp_path / "w")) == left
    assert part.excludes == tuple(patterns)
    assert part.findings == ()


def test_what_diskette_staged_or_put_aside_is_never_collected(media, tmp_path):
    for name in (
        f".diskette-{RUN}.old",
        f".photos.diskette-{RUN}.staged",
        f".x.diskette-{RUN}.arriving",
    ):
        (media.root / name).mkdir()
        (media.root / name / "file").touch()
    (media.root / ".diskette-notes.txt").touch()

    collected(media, tmp_path / "w")

    assert paths(tmp_path / "w") == [".", ".diskette-notes.txt"]


# What cannot be collected as it lies there.


def finding(storage: Storage, workspace: Path):
    (found,) = collected(storage, workspace).findings
    return found


def test_sockets_and_fifos_are_named_and_left_out(media, tmp_path):
    os.mkfifo(media.root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(media.root / "s"))
        found = finding(media, tmp_path / "w")

    assert (found.code, found.severity, found.count) == ("file-unreadable", Severity.WARNING, 2)
    assert found.keys == ("pipe (a FIFO)", "s (a socket)")
    assert "pipe (a FIFO), s (a socket)" in found.message
    assert "DISKETTE_STORAGES_EXCLUDES" in found.hint
    assert paths(tmp_path / "w") == ["."]


@pytest.mark.parametrize("target", ["/etc/passwd", "../other", "a/../../x", "a/../b", "../../.."])
def test_a_link_that_leads_out_or_might_is_named_and_left_out(media, tmp_path, target):
    (media.root / "a").mkdir()
    (media.root / "link").symlink_to(target)

    found = finding(media, tmp_path / "w")

    assert (found.code, found.severity) == ("unsafe-member", Severity.WARNING)
    assert found.keys == (f"link -> {target}",)
    assert paths(tmp_path / "w") == [".", "a"]


@pytest.mark.parametrize("target", ["..", "../text", "b", "./b", ".", "../a/../text/.."])
def test_a_link_within_the_storage_is_kept_though_it_climbs_first(media, tmp_path, target):
    (media.root / "a").mkdir()
    (media.root / "a" / "link").symlink_to(target)

    part = collected(media, tmp_path / "w")

    assert ("a/link" in paths(tmp_path / "w")) == (target != "../a/../text/..")
    assert len(part.findings) == (target == "../a/../text/..")


def test_a_file_that_vanishes_meanwhile_is_a_finding_and_the_rest_is_collected(media, tmp_path):
    for name in "abc":
        (media.root / name).write_bytes(b"x")

    found = meddled(media, tmp_path, (media.root / "b").unlink)

    assert (found.code, found.severity, found.keys) == ("file-vanished", Severity.WARNING, ("b",))
    assert paths(tmp_path / "w") == [".", "a", "c"]


def test_a_directory_that_vanishes_meanwhile_is_a_finding(media, tmp_path):
    (media.root / "a").touch()
    (media.root / "b").mkdir()

    found = meddled(media, tmp_path, (media.root / "b").rmdir)

    assert (found.code, found.keys) == ("file-vanished", ("b",))


def test_a_directory_that_becomes_a_link_meanwhile_is_not_followed(media, tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").touch()
    (media.root / "a").touch()
    (media.root / "b").mkdir()

    def replace_by_link():
        (media.root / "b").rmdir()
        (media.root / "b").symlink_to(tmp_path / "secrets")

    found = meddled(media, tmp_path, replace_by_link)

    assert found.code == "unsafe-member"
    assert paths(tmp_path / "w") == [".", "a"]


def test_a_file_that_grows_while_it_is_read_is_kept_as_it_was_at_first(media, tmp_path):
    (media.root / "log").write_bytes(b"x" * 3_000_000)

    def grow():
        with (media.root / "log").open("ab") as stream:
            stream.write(b"more")

    found = meddled(media, tmp_path, grow, after=1_500_000)

    assert (found.code, found.severity, found.keys) == ("file-changed", Severity.WARNING, ("log",))
    assert index(tmp_path / "w")[1]["size"] == 3_000_000


def test_a_file_that_shrinks_while_it_is_read_ends_where_it_ended(media, tmp_path):
    (media.root / "log").write_bytes(b"x" * 3_000_000)
    (media.root / "next").write_bytes(b"next")

    found = meddled(media, tmp_path, lambda: os.truncate(media.root / "log", 10), after=1_500_000)

    assert (found.code, found.keys) == ("file-changed", ("log",))
    log, following = index(tmp_path / "w")[1:]
    assert log["size"] == 2 << 20
    assert log["padding"] == 3_000_000 - (2 << 20)
    assert following["path"] == "next"


def test_a_file_that_is_rewritten_while_it_is_read_is_named(media, tmp_path):
    (media.root / "log").write_bytes(b"x" * 3_000_000)

    def rewrite():
        with (media.root / "log").open("r+b") as stream:
            stream.write(b"y")

    assert meddled(media, tmp_path, rewrite, after=1_500_000).code == "file-changed"


def test_directories_deeper_than_any_site_needs_are_named(media, tmp_path):
    deep = media.root
    for _ in range(210):
        deep = deep / "d"
    deep.mkdir(parents=True)

    found = finding(media, tmp_path / "w")

    assert (found.code, found.severity) == ("file-unreadable", Severity.ERROR)
    assert "more than 200 directories deep" in found.message


def test_many_problems_of_a_kind_are_one_finding_with_a_sample(media, tmp_path):
    for number in range(50):
        os.mkfifo(media.root / f"pipe {number:02}")

    found = finding(media, tmp_path / "w")

    assert found.count == 50
    assert len(found.keys) == 20
    assert "50 files left out" in found.message
    assert "pipe 02 (a FIFO) and 47 more" in found.message


@pytest.mark.parametrize("plain", [0, 1, 30, 100])
def test_measuring_tells_roughly_what_collecting_will_write(media, tmp_path, plain):
    for number in range(100):
        words = b" ".join(b"%d" % (number * n % 9973) for n in range(8000))
        content = words if number < plain else os.urandom(len(words))
        (media.root / f"{number}.bin").write_bytes(content)

    measured, part = measure(media), collected(media, tmp_path / "w")

    assert measured.packed_tree == pytest.approx(part.tree.bytes, rel=0.25)
    assert measured.packed_index == pytest.approx(part.index.bytes, rel=0.5)


def test_measuring_bears_with_files_that_it_may_not_read(media, tmp_path):
    (media.root / "secret").write_bytes(os.urandom(1000))
    (media.root / "secret").chmod(0)

    with nobody(media.root):
        assert measure(media).packed_tree >= 1000


def test_a_storage_that_is_gone_is_an_error(media, tmp_path):
    media.root.rmdir()

    with pytest.raises(StorageError, match="the storage cannot be read"):
        collected(media, tmp_path / "w")
    with pytest.raises(StorageError, match="the storage cannot be read"):
        measure(media)


def test_an_empty_measure_is_zero(media):
    measured = measure(media)
    assert (measured.files, measured.bytes) == (0, 0)
    assert measured.packed_tree + measured.packed_index < 2000


def test_memory_does_not_grow_with_the_files(media, tmp_path):
    few, many = media.root / "few", media.root / "many"
    for directory, count in ((few, 50), (many, 2_000)):
        directory.mkdir()
        for number in range(count):
            (directory / str(number)).write_bytes(b"x" * 20_000)

    assert peak(many, tmp_path) < peak(few, tmp_path) * 1.1 + 1_000


def meddled(storage: Storage, tmp_path: Path, meddle, after: int = 0):
    """The one finding of a storage in which something happens once so many bytes are read."""
    state = {"done": 0, "happened": False}

    def tick(size: int) -> None:
        state["done"] += size
        if not state["happened"] and state["done"] >= after:
            state["happened"] = True
            meddle()

    workspace = tmp_path / "w"
    workspace.mkdir()
    part = collect(storage, workspace / "tree", workspace / "index", tick=tick)
    (found,) = part.findings
    return found


MEASURED = """
import resource, sys
from pathlib import Path
from diskette.storages.collecting import collect
from diskette.storages.configured import Storage
collect(
    Storage(name="media", root=Path(sys.argv[1]), excludes=()),
    Path(sys.argv[2]), Path(sys.argv[3]), tick=lambda size: None,
)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(root: Path, tmp_path: Path) -> int:
    """Kilobytes that a process takes which collects the directory."""
    command = [sys.executable, "-c", MEASURED, root, tmp_path / "tree", tmp_path / "index"]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)
