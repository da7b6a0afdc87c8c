"""Archives that the original made, loaded: what it dumped is what is here."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from diskette.models import Run
from tests.commands.conftest import run
from tests.original.files import files
from tests.original.rows import rows, without_keys

ARCHIVES = Path(__file__).parent / "archives"
SOURCE = json.loads((ARCHIVES / "source.json").read_text())
NAMES = sorted(path.name for path in ARCHIVES.glob("*.tar.gz"))


def rows_here(name: str = "") -> dict:
    found = json.loads(json.dumps(rows()))
    return without_keys(found) if "natural-keys" in name else found


def rows_there(name: str = "") -> dict:
    return without_keys(SOURCE["rows"]) if "natural-keys" in name else SOURCE["rows"]


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


@pytest.mark.parametrize("name", ["0.6-json.tar.gz", "0.6-json-natural-keys.tar.gz"])
def test_merging_an_archive_twice_doubles_nothing(site, name):
    for _ in range(2):
        done = run("diskette_load", str(ARCHIVES / name), "--no-input", mode="merge")
        assert done.code == 0, done.err

    assert rows_here(name) == rows_there(name)


def test_yaml_without_pyyaml_names_the_cure(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "diskette.original.reading_yaml", raising=False)

    done = run("diskette_load", str(ARCHIVES / "0.6-yaml.tar.gz"), "--no-input")

    assert done.code == 1
    assert 'pip install "diskette[yaml]"' in done.err
