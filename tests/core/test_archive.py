from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import tarfile
import zipfile
from itertools import cycle
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskette.core import archive as archives
from diskette.core.archive import SUMS_NAME, ArchiveReader, publish, sums_of
from diskette.core.assembling import write_archive
from diskette.core.checksum import digest_of
from diskette.core.exceptions import (
    ArchiveError,
    ArchiveNotFound,
    ChecksumMismatch,
    ForeignArchive,
    InsufficientSpace,
    MemberMissing,
    UnsafeMember,
    UnsupportedFormat,
)
from diskette.core.manifest import MANIFEST_NAME
from diskette.core.tar import END, Kind
from tests.core import samples
from tests.core.samples import CONTENTS, entry, handmade, made_of

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(CONTENTS)
AUTHORS = "data/0001_blog.Author.jsonl.zst"
TREE = "storages/media.tar.zst"


@pytest.fixture
def whole(tmp_path):
    return samples.archive(tmp_path)


def codes(path) -> list[str]:
    with ArchiveReader(path) as reader:
        return [finding.code for finding in reader.verify()]


def messages(path) -> str:
    with ArchiveReader(path) as reader:
        return "\n".join(finding.message for finding in reader.verify())


def test_a_whole_archive_is_read_as_it_was_written(whole, tmp_path):
    with ArchiveReader(whole) as reader:
        assert reader.manifest == samples.manifest()
        assert reader.verify() == []
        reader.check_structure()
        found = reader.extract(NAMES, tmp_path / "extracted")

    assert {name: path.read_bytes() for name, path in found.items()} == CONTENTS
    assert {name: tmp_path / "extracted" / name for name in NAMES} == found


def test_verifying_tells_the_digest_of_the_whole_file_and_counts_its_bytes(whole):
    ticks: list[int] = []
    with ArchiveReader(whole) as reader:
        assert reader.verify_and_digest(ticks.append) == ([], digest_of(whole))
        promised = sum(member.bytes for member in reader.manifest.members)

    raw = samples.manifest().to_bytes()
    assert sum(ticks) == promised + len(raw) + len(sums_of(samples.manifest(), raw))


def test_an_archive_is_private_and_nobodys_program_is_needed_to_open_it(whole, tmp_path):
    assert whole.stat().st_mode & 0o777 == 0o600
    names = subprocess.run(["tar", "tf", whole], check=True, capture_output=True, text=True).stdout
    assert names.splitlines() == [MANIFEST_NAME, *NAMES, SUMS_NAME]


def test_an_archive_of_nothing_but_its_manifest_is_whole(tmp_path):
    path = samples.archive(tmp_path, definitions=(), storages=())

    with ArchiveReader(path) as reader:
        assert reader.verify() == []
        assert reader.extract([], tmp_path / "extracted") == {}


def test_an_archive_that_was_packed_again_by_hand_is_read(whole, tmp_path):
    (tmp_path / "by hand").mkdir()
    by_hand = "tar tf ../shop.tar > names; tar xf ../shop.tar; tar cf ../shop.tar -T names"
    subprocess.run(by_hand, shell=True, check=True, cwd=tmp_path / "by hand")

    assert codes(whole) == []


def test_a_member_is_read_where_it_lies(whole):
    with ArchiveReader(whole) as reader:
        tree, authors = reader.content(TREE), reader.content(AUTHORS)
        assert tree.read(100) == CONTENTS[TREE][:100]
        assert authors.read(10_000) == CONTENTS[AUTHORS]
        assert tree.read(10_000) == CONTENTS[TREE][100:]
        assert tree.read(10_000) == b""
        with pytest.raises(MemberMissing):
            reader.content("data/other")


def test_extracting_again_replaces_what_an_attempt_before_left(whole, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / AUTHORS).write_bytes(b"half")

    with ArchiveReader(whole) as reader:
        reader.extract([AUTHORS], tmp_path)

    assert (tmp_path / AUTHORS).read_bytes() == CONTENTS[AUTHORS]
    assert sorted(each.name for each in (tmp_path / "data").iterdir()) == [AUTHORS[5:]]


@pytest.fixture
def bulky(tmp_path):
    """An archive of 12 MB, and its contents."""
    contents = CONTENTS | {TREE: os.urandom(12_000_000)}
    path = tmp_path / "bulky.tar"
    write_archive(path, samples.manifest(contents), samples.files(tmp_path / "parts", contents))
    return path, contents


def test_a_disk_that_fills_up_while_extracting_is_named_and_no_part_of_a_member_is_left(
    bulky, small_disk
):
    path, _ = bulky

    with ArchiveReader(path) as reader, pytest.raises(InsufficientSpace) as refused:
        reader.extract([TREE], small_disk)

    assert refused.value.directory == str(small_disk)
    assert refused.value.needed == 12_000_000
    assert [each for each in small_disk.rglob("*") if not each.is_dir()] == []


def test_an_archive_gets_its_name_and_never_another_ones(tmp_path):
    (tmp_path / "shop.tar").write_bytes(b"yesterday's")
    partial = tmp_path / ".partial"
    partial.write_bytes(b"today's")

    assert publish(partial, tmp_path / "shop.tar") == tmp_path / "shop-2.tar"

    assert (tmp_path / "shop.tar").read_bytes() == b"yesterday's"
    assert (tmp_path / "shop-2.tar").read_bytes() == b"today's"
    assert not partial.exists()


def test_publishing_that_was_cut_off_after_the_name_was_given_is_finished(tmp_path):
    partial = tmp_path / ".partial"
    partial.write_bytes(b"today's")
    (tmp_path / "shop.tar").hardlink_to(partial)

    assert publish(partial, tmp_path / "shop.tar") == tmp_path / "shop.tar"

    assert [each.name for each in tmp_path.iterdir()] == ["shop.tar"]


def test_where_there_are_no_hard_links_a_name_is_still_nobody_elses(tmp_path):
    (tmp_path / "shop.tar").write_bytes(b"yesterday's")
    partial = tmp_path / ".partial"
    partial.write_bytes(b"today's")

    assert not archives._renamed(partial, tmp_path / "shop.tar")
    assert archives._renamed(partial, tmp_path / "shop-2.tar")

    assert (tmp_path / "shop.tar").read_bytes() == b"yesterday's"
    assert (tmp_path / "shop-2.tar").read_bytes() == b"today's"


# From here on: archives that were not made by Diskette, or not left as they were made.


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(ArchiveNotFound, match=r"gone\.tar: there is no such file"):
        ArchiveReader(tmp_path / "gone.tar")


def zipped(path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("manifest.json", "{}")


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_bytes(b"manifest"), "it is cut off after 8 bytes"),
        (lambda path: path.write_bytes(os.urandom(9999)), "it is no tar file"),
        (lambda path: path.write_bytes(bytes(10240)), "not one of Diskette's"),
        (lambda path: path.write_bytes(entry("holiday.jpg", b"x") + END), "manifest.json is not"),
        (lambda path: path.write_bytes(gzip.compress(b"tar")), "a gzip file"),
        (lambda path: path.write_bytes(b"age-encryption.org/v1\n"), "it is encrypted"),
        (lambda path: path.mkdir(), "it is a directory"),
        (os.mkfifo, "it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is no regular file"),
        (zipped, "a zip file"),
    ],
    ids=[
        "empty", "short", "noise", "zeros", "other tar", "gzip", "age", "directory", "FIFO",
        "device", "zip",
    ],
)  # fmt: skip
def test_a_file_that_is_something_else_is_refused_by_name_and_left_in_place(tmp_path, make, cause):
    path = tmp_path / "shop.tar"
    make(path)

    with pytest.raises((ForeignArchive, UnsupportedFormat), match=cause) as refused:
        ArchiveReader(path)

    assert str(refused.value).startswith("shop.tar: ")
    assert path.exists()


def test_an_archive_of_a_newer_format_says_to_upgrade(whole):
    raw = whole.read_bytes()
    whole.write_bytes(re.sub(rb'("format": *)1', rb"\g<1>9", raw, count=1))

    with pytest.raises(UnsupportedFormat, match=r"made in format 9; .* Upgrade Diskette"):
        ArchiveReader(whole)


def test_a_manifest_of_a_gigabyte_is_refused_unread(tmp_path):
    path = tmp_path / "shop.tar"
    with path.open("wb") as stream:
        stream.write(samples.Header(name=MANIFEST_NAME, size=1 << 30).to_bytes())
        stream.truncate(1 << 31)

    with pytest.raises(ForeignArchive, match=r"claims to be of 1\.1 GB"):
        ArchiveReader(path)


def test_an_archive_cut_off_anywhere_is_never_whole(tmp_path):
    raw = samples.archive(tmp_path).read_bytes()
    path = tmp_path / "cut.tar"
    places = {
        0,
        1,
        511,
        512,
        len(raw) - 1,
        len(raw) - 512,
        len(raw) - 1024,
        *range(0, len(raw), 211),
    }

    for length in sorted(places):
        path.write_bytes(raw[:length])
        try:
            reader = ArchiveReader(path)
        except ArchiveError:
            continue
        with reader:
            found, digest = reader.verify_and_digest()
            assert found, f"cut off after {length} bytes"
            assert digest is None
            with pytest.raises(ArchiveError):
                reader.check_structure()


def test_a_cut_off_archive_says_where_it_ends_and_what_is_missing(tmp_path):
    raw = samples.archive(tmp_path).read_bytes()
    (tmp_path / "cut.tar").write_bytes(raw[: raw.index(b"articles") + 100])

    found = messages(tmp_path / "cut.tar")

    assert "it is cut off: it ends after" in found
    assert "data/0002_blog.Article.jsonl.zst is missing" in found
    assert "So are 3 more." in found


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_found(whole, tmp_path, place, bit):
    path, raw = tmp_path / "flipped.tar", bytearray(whole.read_bytes())
    raw[int(place * len(raw))] ^= 1 << bit
    path.write_bytes(raw)

    try:
        reader = ArchiveReader(path)
    except ArchiveError:
        return
    with reader:
        assert reader.verify()


def test_a_manifest_that_was_changed_is_found_though_it_is_well_formed(whole, tmp_path):
    whole.write_bytes(whole.read_bytes().replace(b'"rows": 3', b'"rows": 4'))

    assert codes(whole) == ["checksum-mismatch"]
    with ArchiveReader(whole) as reader, pytest.raises(ChecksumMismatch, match=SUMS_NAME):
        reader.extract(NAMES, tmp_path / "extracted")


def test_all_of_an_archive_can_be_checked_by_hand(whole, tmp_path):
    subprocess.run(["tar", "xf", whole, "-C", tmp_path], check=True)

    subprocess.run(["sha256sum", "--check", "--strict", SUMS_NAME], check=True, cwd=tmp_path)


def test_a_flipped_byte_in_a_member_is_a_checksum_mismatch(whole, tmp_path):
    raw = bytearray(whole.read_bytes())
    raw[raw.index(b"articles")] ^= 1
    whole.write_bytes(raw)

    assert codes(whole) == ["checksum-mismatch"]
    with ArchiveReader(whole) as reader, pytest.raises(ChecksumMismatch, match="0002_blog"):
        reader.extract(NAMES, tmp_path / "extracted")
    assert whole.read_bytes() == bytes(raw)
    assert not (tmp_path / "extracted" / "data" / "0002_blog.Article.jsonl.zst").exists()


def test_every_damaged_member_is_named_at_once(whole):
    raw = whole.read_bytes().replace(b"authors", b"AUTHORS").replace(b"indexindex", b"indexINDEX")
    whole.write_bytes(raw)

    with ArchiveReader(whole) as reader:
        found = reader.verify()

    assert [finding.keys for finding in found] == [(AUTHORS,), ("storages/media.index.jsonl.zst",)]


@pytest.mark.parametrize(
    ("extra", "cause"),
    [
        (entry("../../etc/cron.d/evil", b"x"), "is not named in the manifest"),
        (entry("/etc/passwd", b"x"), "is not named in the manifest"),
        (entry("data/extra", b"x"), "is not named in the manifest"),
        (entry(AUTHORS, b"others"), "comes twice"),
        (entry(MANIFEST_NAME, b"{}"), "comes twice"),
        (entry("data/link", kind=Kind.LINK, link="/etc/passwd"), "is a symbolic link"),
        (entry(AUTHORS, kind=Kind.HARD_LINK, link="/etc/passwd"), "is a hard link"),
        (entry("data", kind=Kind.DIRECTORY), "is a directory"),
        (entry("data/null", kind="3"), "is a device"),
        (entry("data/pipe", kind="6"), "is a FIFO"),
        (entry("data/holes", b"x", kind="S"), "is a sparse file"),
        (entry("pax", b"19 path=/etc/passwd\n", kind="x"), "is a pax header"),
        (entry("pax", b"11 size=1\n", kind="g"), "is a pax header"),
        (entry("what", b"x", kind="Z"), "is of the unknown kind 'Z'"),
    ],
    ids=[
        "..", "absolute", "extra", "twice", "two manifests", "link", "hard link", "directory",
        "device", "FIFO", "sparse", "pax", "global pax", "unknown",
    ],
)  # fmt: skip
def test_a_member_that_should_not_be_there_is_unsafe_and_nothing_is_extracted(
    tmp_path, extra, cause
):
    path = handmade(tmp_path, extra)

    assert codes(path) == ["unsafe-member"]
    assert cause in messages(path)
    with ArchiveReader(path) as reader:
        with pytest.raises(UnsafeMember, match=cause):
            reader.extract(NAMES, tmp_path / "extracted")
        with pytest.raises(UnsafeMember, match=cause):
            reader.check_structure()
    assert not (tmp_path / "extracted").exists()


def test_a_million_foreign_members_do_not_make_a_million_findings(tmp_path):
    path = handmade(tmp_path, *(entry(f"data/{number}", b"x") for number in range(500)))

    with ArchiveReader(path) as reader:
        found = reader.verify()

    assert len(found) == archives.MOST_FINDINGS + 1
    assert found[-1].count == 400


def test_a_link_in_place_of_a_promised_member_is_unsafe(tmp_path):
    members = [entry(name, content) for name, content in CONTENTS.items() if name != TREE]
    members.append(entry(TREE, kind=Kind.LINK, link="/etc/passwd"))
    path = made_of(members, tmp_path)

    assert codes(path) == ["unsafe-member", "member-missing"]


def test_a_missing_member_is_named(tmp_path):
    members = [entry(name, content) for name, content in CONTENTS.items() if name != TREE]
    path = made_of(members, tmp_path)

    assert codes(path) == ["member-missing"]
    with ArchiveReader(path) as reader, pytest.raises(MemberMissing, match=TREE):
        reader.extract([AUTHORS, TREE], tmp_path / "extracted")


def test_a_member_of_another_size_is_refused_before_it_is_read(tmp_path):
    members = [entry(n, c + b"more" * (n == TREE)) for n, c in CONTENTS.items()]
    path = made_of(members, tmp_path)

    assert codes(path) == ["checksum-mismatch"]
    with ArchiveReader(path) as reader, pytest.raises(ForeignArchive, match="4,100 bytes where"):
        reader.extract([TREE], tmp_path / "extracted")


def test_a_name_that_the_manifest_does_not_promise_is_not_extracted(whole, tmp_path):
    with ArchiveReader(whole) as reader, pytest.raises(MemberMissing, match="data/other"):
        reader.extract(["data/other"], tmp_path)


@pytest.mark.parametrize("rubbish", [b"x", b"PK\3\4", bytes(20_000)], ids=["x", "zip", "zeros"])
def test_more_bytes_after_the_end_are_found(whole, rubbish):
    whole.write_bytes(whole.read_bytes() + rubbish)

    assert codes(whole) == ["unsupported-format"]
    assert "more bytes after the end" in messages(whole)


def test_what_pythons_tarfile_would_make_of_pax_headers_is_refused(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        info = tarfile.TarInfo("innocent")
        info.pax_headers = {"path": MANIFEST_NAME}
        made.addfile(info)
    (tmp_path / "shop.tar").write_bytes(stream.getvalue())

    with pytest.raises(ForeignArchive, match=r"manifest\.json is not its first member"):
        ArchiveReader(tmp_path / "shop.tar")


def test_every_name_in_a_manifest_is_documented():
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "archive.md").read_text()))

    assert names_in(orjson.loads(samples.manifest(findings=()).to_bytes())) <= documented


def names_in(shape: object) -> set[str]:
    """Every key at every depth, but of mappings whose keys are data."""
    if isinstance(shape, list):
        return {name for each in shape for name in names_in(each)}
    if not isinstance(shape, dict):
        return set()
    data = {"engines", "migrations"}
    below = {name for key in shape.keys() - data for name in names_in(shape[key])}
    return set(shape) | below


def test_there_is_no_byte_that_does_not_count(tmp_path):
    """Every third of them; headers begin at each remainder of three."""
    path = samples.archive(tmp_path)
    raw = path.read_bytes()
    flips = zip(range(0, len(raw), 3), cycle([0x01, 0x20, 0xFF, 0x10]), strict=False)
    assert [place for place, flip in flips if not is_found(path, raw, place, flip)] == []


def is_found(path: Path, raw: bytes, place: int, flip: int) -> bool:
    """Whether damage at one place is told; the archive is then as it was."""
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(bytes([raw[place] ^ flip]))
    try:
        with ArchiveReader(path) as reader:
            return bool(reader.verify())
    except ArchiveError:
        return True
    finally:
        with path.open("r+b") as stream:
            stream.seek(place)
            stream.write(raw[place : place + 1])
