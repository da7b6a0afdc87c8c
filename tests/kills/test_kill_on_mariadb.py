"""`kill -9` where MariaDB differs: it commits whenever a table is made or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.kills.conftest import Original, made
from tests.kills.scene import Healing
from tests.kills.test_kill_each_step import killed_in, picture
from tests.leftovers import assert_nothing_left
from worker.sites import Site

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("kills on mariadb")]


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with made(servers.mariadb_database) as original:
        yield original


@pytest.mark.fault("the same on MariaDB: a dump")
@pytest.mark.parametrize("step", ["open_snapshot", "dump_application"])
def test_a_dump_succeeds_after_all(site: Site, original: Original, healing: Healing, step: str):
    result = killed_in(site, healing, f"dump/{step}/after", "diskette_dump")

    assert result["state"] == "succeeded", result["findings"]
    assert Path(result["archive"]).exists()
    assert_nothing_left(site)


@pytest.mark.fault("the same on MariaDB: a load")
@pytest.mark.parametrize(
    ("step", "moment"),
    [
        ("check_compatibility", "after"),
        ("load_application", "after"),
        ("check_integrity", "after"),
        ("apply", "before"),
        ("apply", "after"),
    ],
)
def test_a_load_is_all_or_nothing(
    site: Site, original: Original, healing: Healing, step: str, moment: str
):
    load = ("diskette_load", original.archive.name, "--no-input")
    result = killed_in(site, healing, f"load/{step}/{moment}", *load)

    is_lost = (step, moment) == ("apply", "before")
    assert result["state"] == ("failed" if is_lost else "succeeded"), result["findings"]
    assert picture(site) == (original.harmed if is_lost else original.picture)
    assert_nothing_left(site)
