"""docs/by-hand.md does what it says: its commands are run, one after another, on an archive."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.site.sites import Sites
from worker.comparison import compare
from worker.sites import ROOT, Site

PAGE = ROOT / "docs" / "by-hand.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAME = "shop_20261122T020000Z_data_storages.tar"


@pytest.fixture
def sites(tmp_path):
    sites = Sites(tmp_path / "sites")
    yield sites
    sites.close()


def shell(commands: str, site: Site) -> subprocess.CompletedProcess[str]:
    """As somebody types them, beside the site's `manage.py`."""
    for each in ("tar", "zstd", "sha256sum"):
        servers.program(each)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-eu", "-c", commands],
        cwd=site.directory,
        env={**site.environment, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_rows_and_media_come_back_as_they_were(sites):
    site, empty = sites.make(engine="sqlite"), sites.make(engine="sqlite", filled=False)
    for path in [*site.media.rglob("*"), site.media]:
        _keep_seconds_alone(path)
    archive = site.manage("diskette_dump").splitlines()[-1]
    shutil.copy(archive, empty.directory / NAME)
    shutil.copy(ROOT / "manage.py", empty.directory)
    before = compare(site.side, empty.side)
    assert before.differences

    done = shell("\n".join(BLOCK.findall(PAGE.read_text())), empty)

    assert done.returncode == 0, done.stderr
    compared = compare(site.side, empty.side)
    assert not compared.differences, str(compared)
    assert "No fixture data" not in done.stderr


def _keep_seconds_alone(path: Path) -> None:
    """A tar header has no more of a time; the page says so."""
    seconds = path.lstat().st_mtime_ns // 10**9 * 10**9
    os.utime(path, ns=(seconds, seconds), follow_symlinks=False)


def test_what_is_said_of_damaged_archives_is_so(sites):
    site = sites.make(engine="sqlite")
    raw = bytearray(Path(site.manage("diskette_dump").splitlines()[-1]).read_bytes())
    name = b"0002_auth.User.jsonl.zst"
    raw[raw.index(name + b"\0")] ^= 0xFF
    (site.directory / "damaged.tar").write_bytes(raw)

    done = shell("mkdir x; tar xf damaged.tar -C x || true; ls x x/data", site)
    taken_out = done.stdout.split()
    assert name.decode() not in taken_out
    assert {"0001_auth.Group.jsonl.zst", "0003_admin.LogEntry.jsonl.zst", "SHA256SUMS"} <= {
        *taken_out
    }
    done = shell("cd x && sha256sum --check --quiet SHA256SUMS", site)
    assert done.stdout.strip() == f"data/{name.decode()}: FAILED open or read"
    assert shell("zstd -tq x/data/*.zst", site).returncode == 0
    rows = site.directory / "x" / "data" / "0001_auth.Group.jsonl.zst"
    raw = bytearray(rows.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    rows.write_bytes(raw)
    assert shell("zstd -tq x/data/*.zst", site).returncode != 0
