"""Archives in the original's form that somebody made to harm: nothing of them lands."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest
from django.contrib.auth.models import Group

from diskette.models import Run
from tests.commands.conftest import run
from tests.original.packing import member, packed, with_rows

ROW = '{"model": "auth.group", "pk": 1, "fields": {"name": "x", "permissions": []}}'


def refused(archive, code: str, *words: str) -> str:
    """What a load of it says, that ends before anything is staged."""
    done = run("diskette_load", str(archive), "--no-input", *words)
    assert done.code == 1, done.err
    last = Run.objects.first()
    assert [finding.code for finding in last.all_findings] == [code]
    assert not last.steps.filter(name__in=("load_application", "stage_storage"), attempt__gt=0)
    assert archive.exists()
    return done.err


@pytest.mark.parametrize(
    "hostile",
    [
        member("/etc/evil", b"x"),
        member("../evil", b"x"),
        member("media/../../evil", b"x"),
        member("media//evil", b"x"),
        member("elsewhere/evil", b"x"),
        member("media/device", kind=tarfile.CHRTYPE),
        member("media/pipe", kind=tarfile.FIFOTYPE),
        member("media/link", kind=tarfile.SYMTYPE, link="/etc"),
        member("media/link", kind=tarfile.SYMTYPE, link="../../etc"),
        member("media/hard", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        member("media/hard", kind=tarfile.LNKTYPE, link="media/later"),
        member("media/a", b"again"),
        member("media/a/b", b"in a file"),
    ],
    ids=lambda each: f"{each[0].name} {each[0].type.decode()} {each[0].linkname}",
)
def test_a_hostile_member_ends_the_load_before_anything_lands(site, tmp_path, hostile):
    (site.media).mkdir()
    (site.media / "kept").write_text("kept")
    archive = packed(tmp_path / "x.tar.gz", [member("media/a", b"a"), hostile], storages=["media"])

    refused(archive, "unsafe-member")

    assert [path.name for path in site.media.iterdir()] == ["kept"]
    assert site.left_over() == []


@pytest.mark.parametrize("name", ["../media", "/media", ".", "data", "a//b", ""])
def test_a_storage_of_a_hostile_name_is_refused(site, tmp_path, name):
    refused(packed(tmp_path / "x.tar.gz", [], storages=[name]), "unsupported-format")


@pytest.mark.parametrize(
    "text",
    [
        "[" + ROW,
        f"[{ROW} {ROW}]",
        f"[{ROW}] more",
        '[{"pk": 1}]',
        "[1, 2, 3]",
        '["words"]',
        '[{"model": "auth.group", "pk": 1}]',
        '[{"model": "no label", "fields": {}}]',
        "[" * 100_000,
        '<!DOCTYPE x [<!ENTITY a "b">]><django-objects/>',
        "<other/>",
        "<django-objects><object model='auth.group'><field name='name'>x",
        "- !!python/object/apply:os.system [true]\n",
        "- {model: auth.group, pk: 1, fields: &a {name: x}}\n- {model: auth.group, fields: *a}\n",
        "model: auth.group\n",
        "\x00" * 9,
    ],
)
def test_what_is_no_fixture_is_refused(site, tmp_path, text):
    error = refused(with_rows(tmp_path / "x.tar.gz", text), "unsupported-format")

    assert "data/users.json is damaged at its object" in error
    assert not Group.objects.exists()


@pytest.mark.parametrize("offset", [20, 200, -6, -20])
def test_a_flipped_byte_is_found_before_anything_is_written(site, tmp_path, offset):
    archive = with_rows(tmp_path / "x.tar.gz", f"[{ROW}]" + " " * 5000)
    content = bytearray(archive.read_bytes())
    content[offset] ^= 1
    archive.write_bytes(content)

    refused(archive, "unsupported-format")


def test_an_archive_that_is_cut_off_is_refused(site, tmp_path):
    archive = with_rows(tmp_path / "x.tar.gz", f"[{ROW}]")
    archive.write_bytes(archive.read_bytes()[:-30])

    assert "cut off" in refused(archive, "unsupported-format")


def test_a_size_that_no_such_file_can_hold_is_refused(site, tmp_path):
    header = tarfile.TarInfo("media/bomb")
    header.size = 1 << 40
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(header.tobuf() + bytes(1 << 20)))

    assert "claims to be of" in refused(archive, "unsupported-format")


@pytest.mark.parametrize("lacking", ["datas", "storages"])
def test_a_manifest_without_its_lists_is_none(site, tmp_path, lacking):
    archive = tmp_path / "x.tar.gz"
    shape = {"datas": None, "storages": None}
    del shape[lacking]
    with tarfile.open(archive, "w:gz") as tar:
        found, content = member("manifest.json", json.dumps(shape).encode())
        tar.addfile(found, io.BytesIO(content))

    assert lacking in refused(archive, "unsupported-format")
