"""A filled site and its archive, made once; a copy of it for each test.

On PostgreSQL, unless a module has an `original` of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import servers
from tests.kills.scene import LEASE_SECONDS
from worker.servers import new_directory
from worker.sites import Site


@dataclass(frozen=True)
class Original:
    """What every test of this session begins with."""

    site: Site
    archive: Path
    picture: dict
    """Of the archive's source; the site itself has been harmed since."""
    harmed: dict
    database: Callable[..., AbstractContextManager[str]]
    """Makes one like the site's: empty, or a copy of a template."""

    @property
    def template(self) -> str:
        return urlsplit(self.site.database_url).path.lstrip("/")


@pytest.fixture(scope="session")
def original() -> Iterator[Original]:
    with made(servers.postgres_database) as original:
        yield original


@contextmanager
def made(database: Callable[..., AbstractContextManager[str]]) -> Iterator[Original]:
    directory = new_directory("kills-", servers.directory())
    with database() as url:
        site = Site(directory=directory, database_url=url)
        site.manage("migrate", "-v0")
        site.manage("sample_fill")
        archive = Path(site.manage("diskette_dump").splitlines()[-1])
        picture = json.loads(site.manage("sample_picture"))
        site.manage("sample_harm")
        harmed = json.loads(site.manage("sample_picture"))
        assert harmed != picture
        yield Original(
            site=site, archive=archive, picture=picture, harmed=harmed, database=database
        )


@pytest.fixture
def site(original: Original, tmp_path: Path) -> Iterator[Site]:
    """A copy of the harmed site, with a Redis of its own and the worker that holds."""
    shutil.copytree(original.site.media, tmp_path / "media", symlinks=True)
    (tmp_path / "archives").mkdir()
    shutil.copy2(original.archive, tmp_path / "archives")
    with servers.private_redis() as redis, original.database(original.template) as url:
        yield Site(
            directory=tmp_path,
            database_url=url,
            broker_url=redis.url,
            variables={
                "DISKETTE_LEASE_SECONDS": str(LEASE_SECONDS),
                "DISKETTE_TEST_HELD": str(tmp_path / "held"),
            },
        )
