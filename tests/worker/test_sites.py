"""A site in processes of its own is what the tests that kill rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker.servers import ServerError, await_condition
from worker.sites import CommandFailed

pytestmark = pytest.mark.services
ENGINES = ["sqlite", "postgresql"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_filled_site_equals_another_one_and_not_a_harmed_one(sites, engine):
    site, other = sites.make(engine=engine), sites.make(engine=engine)
    assert "equal: " in site.manage("sample_compare", other.database_url, str(other.media))

    other.manage("sample_harm")

    with pytest.raises(CommandFailed, match=r"blog_tag: 1 only there"):
        site.manage("sample_compare", other.database_url, str(other.media))


def test_a_site_on_sqlite_has_the_same_picture_as_one_on_postgresql(sites):
    pictures = [
        json.loads(sites.make(engine=engine).manage("sample_picture")) for engine in ENGINES
    ]
    assert pictures[0].items() <= pictures[1].items()
    assert all(name.startswith("pg") for name in pictures[1].keys() - pictures[0].keys())
    assert pictures[0]["shop_order"].startswith("400 rows ")


def test_a_killed_worker_leaves_nobody_behind(sites, private_redis):
    site = sites.make(engine="sqlite", filled=False, broker_url=private_redis.url)
    with site.worker(concurrency=2) as worker:
        children = worker.children
        assert len(children) == 2
        worker.kill()
        assert not worker.is_alive
        assert await_condition(lambda: not any(map(is_running, children)), seconds=5)


def test_a_task_of_the_site_is_done_by_its_worker(sites, private_redis):
    site = sites.make(engine="postgresql", filled=False, broker_url=private_redis.url)
    program = (
        "from celery import current_app as app;"
        "print(app.send_task('celery.accumulate', (1, 2)).get(30))"
    )
    with site.worker(concurrency=1):
        assert site.manage("shell", "-v0", "-c", program) == "[1, 2]"


def test_a_worker_that_cannot_start_says_why(sites):
    site = sites.make(engine="sqlite", filled=False, DISKETTE_LEASE_SECONDS="soon")
    with (
        pytest.raises(ServerError, match="could not convert string to float: 'soon'"),
        site.worker(),
    ):
        pass


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
