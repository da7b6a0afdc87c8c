from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from diskette.core import catalog
from diskette.core.assembling import write_archive
from diskette.core.exceptions import ArchiveError, ArchiveNotFound
from tests.core import samples

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path):
    """A destination, and a function that puts an archive of so many days ago there."""
    destination = tmp_path / "destination"
    destination.mkdir()

    def put(days: int, *, label: str = "shop", purpose: str = "dump", name: str | None = None):
        instant = NOW - timedelta(days=days)
        path = destination / (name or f"{label}_{instant:%Y%m%dT%H%M%SZ}_data.tar")
        manifest = replace(samples.manifest(), instant=instant, label=label, purpose=purpose)
        write_archive(path, manifest, samples.files(tmp_path / "parts"))
        return path

    return destination, put


def cut_off(path) -> None:
    os.truncate(path, path.stat().st_size - 600)


def test_archives_come_newest_first_with_what_they_say_of_themselves(shelf):
    destination, put = shelf
    old, new = put(2), put(1)
    middle = put(1, name="before-the-upgrade.tar")

    found = catalog.find(destination)

    assert [info.path for info in found] == [new, middle, old]
    assert found[0].manifest == replace(samples.manifest(), instant=NOW - timedelta(days=1))
    assert (found[0].label, found[0].purpose, found[0].error) == ("shop", "dump", None)
    assert found[0].size == new.stat().st_size


def test_what_is_no_archive_is_listed_with_its_reason_and_the_rest_is_left_out(shelf):
    destination, put = shelf
    path = put(1)
    cut_off(path)
    (destination / "photos.tar").write_bytes(b"not an archive")
    (destination / ".shop.tar").write_bytes(b"hidden")
    (destination / ".run.7.partial").write_bytes(b"half")
    (destination / "notes.txt").write_bytes(b"notes")
    (destination / "directory.tar").mkdir()
    (destination / "link.tar").symlink_to(path)

    found = catalog.find(destination)

    assert {info.name for info in found} == {path.name, "photos.tar"}
    assert all(info.manifest is None for info in found)
    errors = {info.name: str(info.error) for info in found}
    assert "it is cut off" in errors[path.name]
    assert "it is cut off after 14 bytes" in errors["photos.tar"]


def test_a_damaged_archive_keeps_the_place_its_name_tells(shelf):
    destination, put = shelf
    cut_off(put(3))

    (info,) = catalog.find(destination)

    assert (info.label, info.instant, info.purpose) == ("shop", NOW - timedelta(days=3), "")


def test_a_destination_that_was_never_made_holds_nothing(tmp_path):
    assert catalog.find(tmp_path / "never") == []
    assert catalog.latest(tmp_path / "never") is None


def test_the_latest_is_the_newest_dump_of_the_project(shelf):
    destination, put = shelf
    put(3)
    ours = put(2)
    put(1, label="other")
    put(0, purpose="safety")

    found = catalog.latest(destination, "shop")

    assert found is not None
    assert found.path == ours


def test_a_damaged_latest_archive_is_refused_and_the_one_before_it_named(shelf):
    destination, put = shelf
    whole, damaged = put(2), put(1)
    cut_off(damaged)

    with pytest.raises(ArchiveError) as refused:
        catalog.latest(destination, "shop")

    assert damaged.name in str(refused.value)
    assert f"The newest whole one is {whole.name}" in str(refused.value)
    assert damaged.exists()


def test_a_stranger_in_the_destination_does_not_hide_the_latest(shelf):
    destination, put = shelf
    ours = put(2)
    (destination / "photos.tar").write_bytes(b"not an archive")

    found = catalog.latest(destination)

    assert found is not None
    assert found.path == ours


def test_reading_an_archive_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ArchiveNotFound):
        catalog.read(tmp_path / "gone.tar")
