"""What a tool works on: a database, a tree of media, a directory for its archive."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker import mariadb
from worker.databases import django_database


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One end of a dump or a load."""

    home: Path
    """Where the package `benchmarks` is found, and nothing else of this repository."""
    archives: Path
    database_url: str
    media: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self, tool: str) -> dict[str, str]:
        """What the project's settings read."""
        return {
            **self.variables,
            "PYTHONPATH": os.pathsep.join([str(self.home), *self._driver]),
            "DJANGO_SETTINGS_MODULE": "benchmarks.project.settings",
            "BENCHMARK_TOOL": tool,
            "BENCHMARK_DATABASE": json.dumps(django_database(self.database_url)),
            "BENCHMARK_MEDIA": str(self.media),
            "BENCHMARK_ARCHIVES": str(self.archives),
        }

    @property
    def _driver(self) -> list[str]:
        """Where MariaDB's is to be found beside the installed ones."""
        return [str(mariadb.DRIVERS)] if self.database_url.startswith("mysql") else []
