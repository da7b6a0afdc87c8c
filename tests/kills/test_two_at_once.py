"""Two dumps started at the same moment: one runs, one is refused and names the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from worker.sites import ROOT, Site

pytestmark = pytest.mark.services


def test_of_two_dumps_at_once_one_is_refused_naming_the_other(site: Site):
    command = [sys.executable, "-m", "django", "diskette_dump"]
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=site.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert sorted(code for *_, code in ended) == [0, 3], ended
    (refusal,) = [err for _, err, code in ended if code == 3]
    (archive,) = [out for out, _, code in ended if code == 0]
    assert Path(archive.strip()).exists()
    with psycopg.connect(site.database_url) as connection:
        runs = dict(
            connection.execute("SELECT state, id::text FROM diskette_run ORDER BY created_at")
        )
    assert runs["succeeded"] in refusal
    assert "skipped" in runs
