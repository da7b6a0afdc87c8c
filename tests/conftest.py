"""What every test may ask for: a place, and servers or databases of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests import servers
from tests.kills.scene import Healing
from tests.site.sites import Sites
from worker.servers import PostgreSQL, Redis

# How long an example takes says how busy the machine is; what failed is told, not remembered.
settings.register_profile("diskette", deadline=None, database=None)
settings.load_profile("diskette")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    with servers.postgres_database() as url:
        yield url


@pytest.fixture
def private_redis() -> Iterator[Redis]:
    """A Redis of this test's own, that keeps its queue over `kill` and `start`."""
    with servers.private_redis(append_only=True) as server:
        yield server


@pytest.fixture
def private_postgres() -> Iterator[PostgreSQL]:
    """A PostgreSQL of this test's own, to kill and start again."""
    with servers.private_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Makes sites that run in processes of their own: `sites.make(engine="postgresql")`."""
    made = Sites(directory=tmp_path_factory.mktemp("sites"))
    yield made
    made.close()


@pytest.fixture
def healing(request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]) -> Healing:
    """The stopwatch of a test that bears `@pytest.mark.fault("what strikes")`."""
    mark = request.node.get_closest_marker("fault")
    record_property("fault", mark.args[0])
    return Healing(record_property)
