"""A disk with little more room than the archive takes: enough, and asked for beforehand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.commands.conftest import run
from tests.filesystems import mounted

BULK = 20_000_000
"""Bytes that cannot be squeezed, and so about those of the archive."""


@pytest.fixture
def bulky(project):
    (project.media / "bulk.bin").write_bytes(os.urandom(BULK))
    return project


def test_a_dump_needs_a_tenth_more_than_its_archive(bulky, settings, tmp_path):
    with mounted(tmp_path / "tight", f"size={BULK * 11 // 10}") as tight:
        settings.DISKETTE_DUMP_PATH = tight
        settings.DISKETTE_WORKSPACE = tight / "workspace"
        done = run("diskette_dump", "--no-data")
        assert done.code == 0, done.err
        assert run("diskette_verify", done.last_line).code == 0
        assert Path(done.last_line).stat().st_size > BULK


def test_a_dump_that_would_not_fit_is_refused_before_it_begins(bulky, settings, tmp_path):
    with mounted(tmp_path / "tight", f"size={BULK}") as tight:
        settings.DISKETTE_DUMP_PATH = tight
        settings.DISKETTE_WORKSPACE = tight / "workspace"
        done = run("diskette_dump", "--no-data")
        assert done.code == 1
        assert "the archive" in done.err
        assert list((tight / "workspace").iterdir()) == []
