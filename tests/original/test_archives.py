"""Archives that the original made, loaded: what it dumped is what is here."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from diskette.core.report import Severity
from diskette.models import Archive, Run
from diskette.original import spool
from tests.commands.conftest import run
from tests.filesystems import mounted
from tests.original.files import files
from tests.original.packing import member, packed
from tests.original.rows import rows, without_keys
from tests.original.web import served

ARCHIVES = Path(__file__).parent / "archives"
SOURCE = json.loads((ARCHIVES / "source.json").read_text())
NAMES = sorted(path.name for path in ARCHIVES.glob("*.tar.gz"))


def rows_as(name: str, found: dict) -> dict:
    """As far as an archive of that name tells them."""
    return without_keys(found) if "natural-keys" in name else found


def rows_here(name: str = "") -> dict:
    return rows_as(name, json.loads(json.dumps(rows())))


def rows_there(name: str = "") -> dict:
    return rows_as(name, SOURCE["rows"])


@pytest.mark.parametrize("name", NAMES)
def test_what_the_original_dumped_is_loaded_row_by_row_and_file_by_file(site, name):
    archive = ARCHIVES / name
    before = archive.read_bytes()

    done = run("diskette_load", str(archive), "--no-input")

    assert done.code == 0, done.err
    if "storages" not in name:
        assert rows_here(name) == rows_there(name)
    if Run.objects.get().stats["files"]:
        assert files(site.base) == SOURCE["files"]
    assert archive.read_bytes() == before
    assert site.left_over() == []


def test_what_an_archive_holds_is_shown_and_what_it_does_not_say_is_unknown(site):
    done = run("diskette_inspect", str(ARCHIVES / "0.6-json.tar.gz"), "--closed", format="json")

    assert done.code == 0, done.err
    shape = json.loads(done.out)
    assert shape["versions"] == {
        "diskette": "0.6.0",
        "django": "unknown",
        "python": "unknown",
        "engines": {"default": "unknown"},
    }
    assert shape["label"] == shape["run"] == "unknown"
    assert shape["migrations"] == {}
    assert [each["name"] for each in shape["definitions"]] == [
        "users.json",
        "library.json",
        "rest.json",
    ]
    assert [(each["name"], each["files"]) for each in shape["storages"]] == [
        ("media", 5),
        ("var/media", 1),
        ("empty", 0),
    ]
    assert {each["severity"] for each in shape["unresolved"]} == {"warning"}  # may dangle
    assert site.left_over() == []


@pytest.mark.parametrize("digest", [hashlib.sha256, hashlib.blake2b])
def test_the_checksum_may_be_ours_or_the_originals(site, digest):
    archive = ARCHIVES / "0.6-storages.tar.gz"
    right = digest(archive.read_bytes()).hexdigest()
    wrong = right[::-1]

    assert run("diskette_load", str(archive), "--no-input", "--checksum", wrong).code == 1
    assert not site.media.exists()
    assert run("diskette_load", str(archive), "--no-input", "--checksum", right).code == 0
    assert site.media.exists()


def test_parts_of_an_archive_are_loaded_as_of_ours(site):
    archive = str(ARCHIVES / "0.6-json.tar.gz")

    done = run("diskette_load", archive, "--no-input", "--app", "users.json", "--no-storages")

    assert done.code == 0, done.err
    here = rows_here()
    assert here["auth.User"] == SOURCE["rows"]["auth.User"]
    assert here["auth.User_groups"] == SOURCE["rows"]["auth.User_groups"]
    assert here["library.Book"] == []
    assert not site.media.exists()


def test_a_check_writes_nothing(site):
    done = run("diskette_load", str(ARCHIVES / "0.6-json.tar.gz"), "--check")

    assert done.code == 0, done.err
    assert not any(rows_here().values())
    assert not site.media.exists()


@pytest.mark.parametrize(("limit", "names"), [(90, set()), (70, {"x"})])
def test_a_fixture_up_to_the_minimal_size_counts_as_empty_and_is_told(
    site, settings, tmp_path, limit, names
):
    small = b'[{"model": "auth.group", "pk": 1, "fields": {"name": "x", "permissions": []}}]'
    assert 70 < len(small) < 90
    members = [member("data/small.json", small), member("data/empty.json", b"[]")]
    members.append(member("media/file", b"x"))
    datas = ["data/small.json", "data/empty.json"]
    archive = packed(tmp_path / "x.tar.gz", members, datas=datas, storages=["media"])
    settings.DISKETTE_LOAD_MINIMAL_FILESIZE = limit

    done = run("diskette_load", str(archive), "--no-input")

    assert done.code == 0, done.err
    assert {group.name for group in Group.objects.all()} == names
    passed_over = [
        f.keys for f in Run.objects.get().all_findings if f.code == "fixture-passed-over"
    ]
    assert passed_over == ([] if names else [("data/small.json",)])


@pytest.mark.parametrize("name", ["0.6-json.tar.gz", "0.6-json-natural-keys.tar.gz"])
def test_merging_an_archive_twice_doubles_nothing(site, name):
    for _ in range(2):
        done = run("diskette_load", str(ARCHIVES / name), "--no-input", mode="merge")
        assert done.code == 0, done.err

    assert rows_here(name) == rows_there(name)


def test_keys_that_it_does_not_say_are_assumed_and_told(site):
    archive = ARCHIVES / "0.6-json-natural-keys.tar.gz"
    assert run("diskette_load", str(archive), "--no-input").code == 0

    findings = Run.objects.get(kind="load").all_findings
    told = {(f.model, f.target, f.severity) for f in findings if f.code == "natural-primary"}
    assert ("library.Card", "auth.User", Severity.WARNING) in told


def test_yaml_without_pyyaml_names_the_cure(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "diskette.original.reading_yaml", raising=False)

    done = run("diskette_load", str(ARCHIVES / "0.6-yaml.tar.gz"), "--no-input")

    assert done.code == 1
    assert 'pip install "diskette[yaml]"' in done.err


def test_all_of_it_is_read_and_it_is_said_that_this_is_no_proof(site):
    archive = ARCHIVES / "0.6-json.tar.gz"

    done = run("diskette_verify", str(archive), format="json")

    assert done.code == 0, done.err
    (shape,) = json.loads(done.out)["archives"]
    assert (shape["state"], shape["sha256"]) == ("unproven", "")
    assert {"auth.User", "library.Book"} <= set(shape["models"])
    assert shape["storages"][0] == {"name": "media", "files": 5, "lost": 0}
    finding = shape["findings"][-1]
    assert finding["code"] == "original-unproven"
    assert finding["keys"] == [hashlib.blake2b(archive.read_bytes()).hexdigest()]
    assert not Archive.objects.exists()
    assert site.left_over() == []


def test_a_drill_restores_it_beside_what_is_live(site):
    done = run("diskette_verify", "--drill", str(ARCHIVES / "0.6-json.tar.gz"))

    assert done.code == 0, done.err
    assert done.out.startswith("restored")
    assert not any(rows_here().values())
    assert not site.media.exists()
    assert site.left_over() == []


def test_a_damaged_one_is_damaged_and_another_programs_is_foreign(site, tmp_path):
    damaged = tmp_path / "damaged.tar.gz"
    content = (ARCHIVES / "0.6-json.tar.gz").read_bytes()
    damaged.write_bytes(content[:3000] + b"?" + content[3001:])
    foreign = packed(tmp_path / "foreign.tar.gz", [])
    foreign.write_bytes(gzip.compress(bytes(10240)))

    for archive, state in ((damaged, "damaged"), (foreign, "foreign")):
        done = run("diskette_verify", str(archive), format="json")
        (shape,) = json.loads(done.out)["archives"]
        assert (done.code, shape["state"]) == (1, state), shape
    assert site.left_over() == []


def test_it_is_loaded_from_a_web_server_as_the_settings_say(site, settings):
    settings.DISKETTE_DOWNLOAD_CHUNK = 1000
    archive = ARCHIVES / "0.6-json.tar.gz"
    digest = hashlib.blake2b(archive.read_bytes()).hexdigest()
    with served(ARCHIVES) as address:
        url = f"{address}/{archive.name}"
        assert run("diskette_load", url, "--no-input", "--checksum", digest[::-1]).code == 1
        done = run("diskette_load", url, "--no-input", "--checksum", digest)
        settings.DISKETTE_DOWNLOAD_ALLOWED_PROTOCOLS = ["https://"]
        refused = run("diskette_load", url, "--no-input")

    assert done.code == 0, done.err
    assert refused.code == 2
    assert rows_here() == rows_there()
    assert files(site.base) == SOURCE["files"]
    assert site.left_over() == []


@pytest.mark.parametrize("is_asked_before", [True, False])
def test_a_disk_too_small_for_what_is_in_it_is_named_and_nothing_is_left(
    site, settings, tmp_path, monkeypatch, is_asked_before
):
    bulk = os.urandom(18_000_000)
    archive = packed(tmp_path / "x.tar.gz", [member("media/bulk", bulk)], storages=["media"])
    if not is_asked_before:
        monkeypatch.setattr(spool, "require", lambda needs: None)
    with mounted(tmp_path / "small", "size=8m") as small:
        settings.DISKETTE_WORKSPACE = small / "workspace"
        done = run("diskette_load", str(archive), "--no-input")
        verified = run("diskette_verify", str(archive))
        assert list((small / "workspace").iterdir()) == []
    assert done.code == verified.code == 1
    assert [finding.code for finding in Run.objects.get().all_findings] == ["no-space"]
    assert str(small) in done.err
    assert str(small) in verified.err
    assert not site.media.exists()


def test_a_disk_too_small_for_the_list_of_its_members_is_a_full_disk(
    site, settings, tmp_path, monkeypatch
):
    members = [member(f"media/{number:0200}") for number in range(3000)]
    archive = packed(tmp_path / "x.tar.gz", members, storages=["media"])
    monkeypatch.setattr(spool, "require", lambda needs: None)
    with mounted(tmp_path / "small", "size=400k") as small:
        settings.DISKETTE_WORKSPACE = small / "workspace"
        assert run("diskette_load", str(archive), "--no-input").code == 1
    assert [finding.code for finding in Run.objects.get().all_findings] == ["no-space"]
