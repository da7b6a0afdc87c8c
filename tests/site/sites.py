"""Sites for tests, quickly: one is migrated and filled, the others are copies of it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from tests import servers
from worker.sites import Site

MADE = {
    "postgresql": servers.postgres_database,
    "mariadb": servers.mariadb_database,
    "mysql": servers.mariadb_database,
}
"""By engine, and by the scheme of its URLs."""


@dataclass
class Sites:
    """Makes sites on any engine; what it made is gone after `close`."""

    directory: Path
    settings: str = "tests.site.settings"
    fill: str = "sample_fill"
    """The command that fills an empty site, with --seed."""
    trees: tuple[str, ...] = ("media",)
    _templates: dict[tuple[str, int | None], Site] = field(default_factory=dict)
    _exits: ExitStack = field(default_factory=ExitStack)

    def make(
        self,
        *,
        engine: str,
        filled: bool = True,
        seed: int = 1,
        broker_url: str = "",
        **variables: str,
    ) -> Site:
        """A migrated site of one's own, with the rows and files of the seed if `filled`.

        `engine`: sqlite, postgresql or mariadb. `variables`: more of its environment.
        """
        template = self._template(engine, seed if filled else None)
        return self._copy(
            template,
            broker_url=broker_url,
            celery_app="tests.site",
            variables={"DISKETTE_LABEL": "tests", **variables},
        )

    def close(self) -> None:
        self._exits.close()

    def _template(self, engine: str, seed: int | None) -> Site:
        if (engine, seed) not in self._templates:
            made = self._migrated(engine) if seed is None else self._filled(engine, seed)
            self._templates[engine, seed] = made
        return self._templates[engine, seed]

    def _migrated(self, engine: str) -> Site:
        directory = self._new_directory()
        made = Site(
            directory=directory,
            database_url=self._empty_database(engine, directory),
            settings=self.settings,
            trees=self.trees,
        )
        made.manage("migrate", "-v0")
        return made

    def _filled(self, engine: str, seed: int) -> Site:
        made = self._copy(self._template(engine, None))
        made.manage(self.fill, "--seed", str(seed))
        return made

    def _copy(self, template: Site, **attributes: Any) -> Site:
        directory = self._new_directory()
        for name in self.trees:
            if (template.directory / name).exists():
                shutil.copytree(template.directory / name, directory / name, symlinks=True)
        return replace(
            template,
            directory=directory,
            database_url=self._copied_database(template, directory),
            **attributes,
        )

    def _new_directory(self) -> Path:
        directory = self.directory / uuid4().hex[:8]
        directory.mkdir(parents=True)
        return directory

    def _empty_database(self, engine: str, directory: Path) -> str:
        if engine == "sqlite":
            return f"sqlite://{directory}/site.sqlite3"
        return self._exits.enter_context(MADE[engine]())

    def _copied_database(self, template: Site, directory: Path) -> str:
        parts = urlsplit(template.database_url)
        if parts.scheme == "sqlite":
            shutil.copy2(parts.path, directory / "site.sqlite3")
            return f"sqlite://{directory}/site.sqlite3"
        return self._exits.enter_context(MADE[parts.scheme](parts.path.lstrip("/")))
