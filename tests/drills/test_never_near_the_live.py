"""Whatever settings, routers, models, migrations and checks try, live rows and files stay."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from tests import servers
from tests.drills.conftest import databases_of, left_over, picture
from worker import mariadb
from worker.servers import await_condition
from worker.sites import Site

ENGINES = ["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.xdist_group("m"))]
SEND = """
import json
from worker.celery import app
print(app.send_task("diskette.drill", queue="diskette").id)
"""

pytestmark = pytest.mark.services


def with_scratch(site: Site, url: str) -> Site:
    return dataclasses.replace(site, variables={**site.variables, "TEST_SCRATCH_URL": url})


@pytest.mark.parametrize("live", ENGINES, indirect=True)
def test_a_drill_in_a_project_that_always_means_its_live_database(live: Site):
    before = picture(live)
    done = live.run("diskette_verify", "--drill")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("proven   ")
    assert picture(live) == before
    assert left_over(live) == []


@pytest.mark.parametrize("live", ["postgresql"], indirect=True)
def test_a_drill_asked_for_by_name_is_done_by_workers(live: Site, private_redis):
    site = dataclasses.replace(live, broker_url=private_redis.url)
    before = picture(site)
    with site.worker(name="one"), site.worker(name="two"):
        site.manage("shell", "-v0", "-c", SEND)
        assert await_condition(lambda: drills(site), seconds=60)
        (run,) = drills(site)
        done = site.run("diskette_status", run, "--follow", "--format", "json")
    result = json.loads(done.stdout)
    assert result["state"] == "succeeded", result["findings"]
    workers = {each["step"]: each["state"] for each in result["results"]}
    assert workers["run_check"] == "succeeded"
    assert json.loads(site.manage("diskette_list", "--format", "json"))[0]["proven_at"]
    assert picture(site) == before
    assert left_over(site) == []


def drills(site: Site) -> list[str]:
    runs = json.loads(site.manage("diskette_status", "--format", "json"))
    return [each["run"] for each in runs if each["kind"] == "drill"]


def other_host(url: str) -> str:
    parts = urlsplit(url)
    host = "localhost" if parts.hostname == "127.0.0.1" else "127.0.0.1"
    place = parts.netloc.replace(parts.hostname, host)
    return urlunsplit(parts._replace(netloc=place))


@contextmanager
def through_a_socket(url: str) -> Iterator[str]:
    with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@socket")
        (socket,) = cursor.fetchone()
    parts = urlsplit(url)
    place = f"{parts.username}:{parts.password or ''}@"
    query = f"unix_socket={quote(socket, safe='')}"
    yield urlunsplit(parts._replace(netloc=place, query=query))


@contextmanager
def spelled_otherwise(url: str) -> Iterator[str]:
    yield other_host(url)


@contextmanager
def as_it_is(url: str) -> Iterator[str]:
    yield url


@pytest.mark.parametrize(
    ("live", "spelled"),
    [
        ("postgresql", as_it_is),
        ("postgresql", spelled_otherwise),
        ("postgresql", servers.pgbouncer),
        pytest.param("mariadb", through_a_socket, marks=pytest.mark.xdist_group("m")),
    ],
    indirect=["live"],
)
def test_a_live_database_named_as_the_scratch_one_refuses_the_drill(live: Site, spelled):
    before = picture(live)
    with spelled(live.database_url) as url:
        done = with_scratch(live, url).run("diskette_verify", "--drill")
    assert done.returncode == 1, done.stdout
    assert "DISKETTE_SCRATCH_DATABASE" in done.stderr
    assert picture(live) == before
    assert left_over(live) == []


@pytest.mark.parametrize("live", ["sqlite"], indirect=True)
def test_a_link_to_the_live_file_is_not_written_through(live: Site):
    before = picture(live)
    file = Path(urlsplit(live.database_url).path)
    link = live.directory / "harmless.sqlite3"
    link.symlink_to(file)
    done = with_scratch(live, f"sqlite://{link}").run("diskette_verify", "--drill")
    assert done.returncode == 0, done.stderr
    assert picture(live) == before
    assert left_over(live) == []


@pytest.mark.parametrize("live", ["postgresql"], indirect=True)
def test_a_killed_drill_is_cleared_by_the_next_command(live: Site):
    before = picture(live)
    with live.begun("diskette_verify", "--drill") as drill:
        assert await_condition(lambda: restored(live), seconds=60)
        drill.kill()
    (run,) = workspaces(live)
    assert databases_of(live, [run])
    told = json.loads(live.run("diskette_status", run, "--format", "json").stdout)
    assert [each["code"] for each in told["findings"]] == ["lease-lost"]
    assert left_over(live) == []
    assert picture(live) == before


def workspaces(site: Site) -> list[str]:
    """Ids of the runs that have one."""
    return [path.name for path in (site.archives / ".diskette").glob("*-*")]


def restored(site: Site) -> list[Path]:
    """Where a drill has begun to unpack: its rows are in their scratch database by then."""
    return list((site.archives / ".diskette").glob("*-*/storages/*"))
