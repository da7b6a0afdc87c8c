"""One yard for all of these tests, mended after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import yard as yards
from tests.yard import Yard


@pytest.fixture(scope="package")
def standing() -> Iterator[Yard]:
    with yards.opened() as yard:
        yield yard


@pytest.fixture
def yard(standing: Yard) -> Iterator[Yard]:
    """Workers and beat at work, their servers up, rows and files other than the archive's."""
    standing.harm()
    yield standing
    standing.hold_nowhere()
    standing.mend()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The suite runs the cases that prove a claim, `make faults` all of them."""
    if "fault" in config.getoption("markexpr"):
        return
    more = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=more)
    items[:] = [item for item in items if item not in more]
