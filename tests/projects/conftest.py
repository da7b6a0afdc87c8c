"""Each project's sites, made once in a session by the process that tests the project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.projects.trips import PROJECTS, Trips


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in PROJECTS],
)
def trips(request, tmp_path_factory) -> Iterator[Trips]:
    """The round trips of one project."""
    made = Trips(PROJECTS[request.param], tmp_path_factory.mktemp(request.param))
    yield made
    made.close()
