"""Archives read to their last byte: what is broken, and what can still be had."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from django.utils import timezone

from diskette import tasks
from diskette.core.archive import ArchiveReader
from diskette.core.tar import BLOCK_BYTES
from diskette.doctor import verifying
from diskette.models import Archive
from tests.commands.conftest import Done, run
from tests.core import samples

pytestmark = pytest.mark.django_db(transaction=True)


def verified(*words: str) -> tuple[int, list[dict]]:
    done = run("diskette_verify", *words, "--format", "json")
    return done.code, json.loads(done.out)["archives"]


def place_of(path: Path, name: str) -> int:
    with ArchiveReader(path) as reader:
        return reader.survey().places[name]


def member_of(path: Path, model: str) -> str:
    with ArchiveReader(path) as reader:
        (entry,) = [each for each in reader.manifest.models if each.model == model]
    return entry.member.name


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


def flip(path: Path, place: int) -> None:
    raw = path.read_bytes()
    overwrite(path, place, bytes([raw[place] ^ 0xFF]))


def test_a_whole_archive_is_whole_and_its_row_knows_since_when(project, archive):
    row = Archive.objects.get(path=str(archive))

    done = run("diskette_verify", "latest")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"whole    {archive.name}")
    assert Archive.objects.get(path=str(archive)).verified_at > row.verified_at


def test_a_broken_member_is_named_and_hides_none_of_the_others(project, archive):
    flip(archive, place_of(archive, member_of(archive, "auth.Group")) + 20)
    flip(archive, place_of(archive, "storages/media.tar.zst") + 20)

    code, (shape,) = verified(str(archive))

    assert (code, shape["state"]) == (1, "damaged")
    assert shape["lost_models"] == ["auth.Group"]
    assert "auth.User" in shape["models"]
    assert {each["model"] for each in shape["findings"]} == {"auth.Group", None}
    codes = [each["code"] for each in shape["findings"]]
    assert codes.count("checksum-mismatch") == 2


def test_a_member_whose_header_is_destroyed_can_still_be_had(project, archive):
    name = member_of(archive, "auth.Group")
    overwrite(archive, place_of(archive, name) - BLOCK_BYTES, bytes(BLOCK_BYTES))

    code, (shape,) = verified(str(archive))

    assert code == 1
    assert shape["lost_models"] == []
    (finding,) = shape["findings"]
    assert finding["model"] == "auth.Group"
    assert "zeros in place of a header" in finding["message"]


def test_what_lies_before_the_end_of_an_archive_cut_short_can_be_had(project, archive):
    place = place_of(archive, "storages/media.tar.zst")
    archive.write_bytes(archive.read_bytes()[: place + 10])

    code, (shape,) = verified(str(archive))

    assert code == 1
    assert shape["lost_models"] == []
    assert shape["storages"] == [{"name": "media", "files": 2, "lost": 2}]
    assert "it is cut off" in " ".join(each["message"] for each in shape["findings"])


def test_each_lost_file_of_a_storage_is_named(project):
    noise = Random(1).randbytes(10_000)
    for name in ("m.bin", "n.bin", "o.bin"):
        (project.media / name).write_bytes(name.encode() + noise)
    (project.media / "other").hardlink_to(project.media / "n.bin")
    archive = Path(run("diskette_dump").last_line)
    raw = archive.read_bytes()
    flip(archive, raw.index(b"n.bin" + noise[:16]) + 5000)

    code, (shape,) = verified(str(archive))

    assert code == 1
    (finding,) = [each for each in shape["findings"] if each["code"] == "file-lost"]
    assert sorted(finding["keys"]) == ["n.bin", "other"]
    assert shape["storages"] == [{"name": "media", "files": 6, "lost": 2}]
    done = run("diskette_verify", str(archive))
    assert "can be had: 4 of 6 files of storage media" in done.out


def test_a_manifest_that_cannot_be_read_is_said(project, archive):
    overwrite(archive, BLOCK_BYTES, b"<")

    done = run("diskette_verify", str(archive))

    assert done.code == 1
    assert done.out.startswith(f"DAMAGED  {archive.name}")
    assert "its manifest is not JSON" in done.out


def test_all_goes_on_after_a_damaged_one_and_passes_over_what_is_not_ours(project, archive):
    other = Path(run("diskette_dump").last_line)
    flip(archive, place_of(archive, "storages/media.tar.zst") + 20)
    (project.archives / "holiday.tar").write_bytes(b"not ours")

    code, shapes = verified("--all")

    assert code == 1
    states = {each["name"]: each["state"] for each in shapes}
    assert states == {archive.name: "damaged", other.name: "whole", "holiday.tar": "foreign"}
    assert verified(str(project.archives / "holiday.tar"))[0] == 1


def test_a_damaged_archive_is_not_counted_until_it_is_whole_again(project, archive):
    newer = Path(run("diskette_dump").last_line)
    raw = newer.read_bytes()
    flip(newer, place_of(newer, "storages/media.tar.zst") + 20)
    assert run("diskette_verify", str(newer)).code == 1

    done = run("diskette_prune", "--no-input", "--keep-last", "1")
    assert f"warning [archive-set-aside] {newer.name} is neither counted" in done.err
    assert archive.exists()
    assert newer.exists()

    newer.write_bytes(raw)
    assert run("diskette_verify", str(newer)).code == 0
    assert run("diskette_prune", "--no-input", "--keep-last", "1").code == 0
    assert not archive.exists()


def test_a_file_that_was_replaced_by_another_archive_is_told(project, archive):
    other = Path(run("diskette_dump").last_line)
    archive.write_bytes(other.read_bytes())

    code, (shape,) = verified(str(archive))

    assert (code, shape["state"]) == (0, "whole")
    assert [each["code"] for each in shape["findings"]] == ["archive-changed"]


@pytest.fixture
def nights(project) -> list[Path]:
    """Four archives: one unknown, three verified on different days, the third longest ago."""
    project.archives.mkdir()
    paths = [samples.archive(project.archives, f"night{n}.tar") for n in range(4)]
    for path, days in zip(paths[1:], (2, 9, 5), strict=True):
        Archive.objects.create(
            path=str(path),
            name=path.name,
            label="shop",
            instant=samples.INSTANT,
            bytes=path.stat().st_size,
            sha256="",
            verified_at=timezone.now() - timedelta(days=days),
        )
    return paths


@pytest.mark.parametrize(
    ("share", "numbers"), [(0.01, [0]), (0.5, [0, 2]), (0.75, [0, 2, 3]), (1, [0, 2, 3, 1])]
)
def test_a_sample_is_of_those_examined_longest_ago(nights, share, numbers):
    assert verifying.sample(share) == [nights[number] for number in numbers]


def test_a_damaged_one_waits_for_its_turn_like_any_other(nights):
    Archive.objects.filter(name="night2.tar").update(damaged_at=timezone.now())
    assert verifying.sample(0.5) == [nights[0], nights[3]]


def test_a_sample_verifies_its_share_and_the_next_one_another(project, archive):
    run("diskette_dump")

    first, second = (verified("--sample", "50%")[1] for _ in range(2))

    assert len(first) == len(second) == 1
    assert first[0]["name"] != second[0]["name"]


def test_an_unknown_archive_of_the_destination_gets_a_row(project, archive):
    Archive.objects.all().delete()

    assert run("diskette_verify", "--all").code == 0

    row = Archive.objects.get()
    assert (row.name, row.bytes, row.damaged_at) == (archive.name, archive.stat().st_size, None)
    with ArchiveReader(archive) as reader:
        assert row.instant == reader.manifest.instant


def test_the_task_verifies_the_share_of_the_setting(project, archive, settings):
    run("diskette_dump")
    settings.DISKETTE_VERIFY_SAMPLE = "50%"

    (shape,) = tasks.verify()["archives"]

    assert shape["state"] == "whole"
    assert json.loads(json.dumps(shape)) == shape


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--all", "--sample", "10%"],
        ["--sample", "ten"],
        ["--sample", "0%"],
        ["--sample", "101%"],
        ["nothing.tar"],
        ["https://example.org/a.tar"],
        ["--all", "--destination", "/nowhere/at/all"],
    ],
)
def test_what_cannot_be_obeyed_is_used_wrongly(project, words):
    done: Done = run("diskette_verify", *words)
    assert done.code == 2, done.err


def test_an_empty_destination_is_said(project):
    done = run("diskette_verify", "--all")
    assert done.code == 0
    assert "No archives in" in done.out
