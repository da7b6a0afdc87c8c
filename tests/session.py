"""A pytest plugin: servers and directories stand before Django reads its settings.

`conftest.py` would come too late, pytest-django reads the settings before it; so this is
named in pyproject's `addopts`.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests import servers


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    servers.prepare_session()
    return (yield)
