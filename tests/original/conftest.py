"""A project that has none of its rows and files yet, for the original's archives."""

from __future__ import annotations

import pytest

from tests.commands.conftest import Project


@pytest.fixture
def site(settings, tmp_path, transactional_db) -> Project:
    project = Project(tmp_path)
    settings.DISKETTE_STORAGES = [tmp_path / name for name in ("media", "var/media", "empty")]
    settings.DISKETTE_LOAD_STORAGES_PATH = tmp_path
    settings.DISKETTE_DUMP_PATH = project.archives
    settings.DISKETTE_WORKSPACE = project.workspace
    settings.DISKETTE_SAFETY_DUMP = False
    return project
