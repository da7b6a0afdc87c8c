"""Archives that the original made, loaded: what it dumped is what is here."""

from __future__ import annotations

import json
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
