"""A storage of awkward files, and a small filesystem to fill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from diskette.storages import Storage
from tests.filesystems import mounted
from tests.storages import trees


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 8 MB."""
    with mounted(tmp_path / "small disk") as directory:
        yield directory


@pytest.fixture
def media(tmp_path: Path) -> Storage:
    """An empty storage."""
    root = tmp_path / "site" / "media"
    root.mkdir(parents=True)
    return Storage(name="media", root=root, excludes=())


@pytest.fixture
def awkward(media: Storage) -> Storage:
    """A storage of everything that a directory may hold and an archive must keep."""
    trees.fill(media.root)
    return media
