"""The project of the commands' tests, for what the machine does to it."""

from __future__ import annotations

from tests.commands.conftest import archive, project

__all__ = ["archive", "project"]
