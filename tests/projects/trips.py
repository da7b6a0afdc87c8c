"""Round trips: a filled site dumped, another one loaded, both compared by other means.

Every command runs in a process of its own with the site's environment, as users run it.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zstandard import ZstdDecompressor

from tests.leftovers import leftovers
from tests.site.sites import Sites
from worker import comparison
from worker.comparison import Comparison
from worker.sites import CommandFailed, Site

ENGINES = ("sqlite", "postgresql", "mariadb")
PAIRS = tuple((source, target) for target in ENGINES for source in ENGINES)
OTHER_SEED = 2


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is needed to make a site of a project."""

    settings: str
    fill: str = "project_fill"
    trees: tuple[str, ...] = ("media",)


PROJECTS: Mapping[str, Project] = {
    "sample": Project(settings="worker.settings", fill="sample_fill"),
    "django_cms": Project(settings="tests.projects.django_cms.settings", trees=("media", "smedia")),
    "helpdesk": Project(settings="tests.projects.helpdesk.settings"),
}


@dataclass(frozen=True, kw_only=True)
class Trip:
    """A load from one engine into another: what it cost and whether anything changed."""

    compared: Comparison
    archive_bytes: int
    dump_seconds: float
    load_seconds: float
    failure: str
    """What the load said if it failed."""
    leftovers: list[str]
    """What the load should have cleared away and did not."""

    @property
    def is_equal(self) -> bool:
        return not self.problems

    @property
    def problems(self) -> str:
        differences = map(str, self.compared.differences)
        left = (f"left behind: {name}" for name in self.leftovers)
        return "\n".join(filter(None, [self.failure, *differences, *left]))


@dataclass
class Trips:
    """Round trips of one project; each source is filled and dumped once."""

    project: Project
    directory: Path
    _archives: dict[str, tuple[Site, Path, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sites = Sites(
            directory=self.directory,
            settings=self.project.settings,
            fill=self.project.fill,
            trees=self.project.trees,
        )

    def source(self, engine: str) -> Site:
        return self._dumped(engine)[0]

    def archive(self, engine: str) -> Path:
        return self._dumped(engine)[1]

    def load(self, source: str, target: Site) -> Trip:
        """Load what was dumped on the engine `source` into `target`, and compare."""
        site, archive, dump_seconds = self._dumped(source)
        began = time.monotonic()
        failure = ""
        try:
            target.manage("diskette_load", str(archive), "--no-input")
        except CommandFailed as error:
            failure = str(error)
        return Trip(
            failure=failure,
            load_seconds=time.monotonic() - began,
            dump_seconds=dump_seconds,
            archive_bytes=archive.stat().st_size,
            compared=comparison.compare(site.side, target.side),
            leftovers=leftovers(target),
        )

    def close(self) -> None:
        self.sites.close()

    def _dumped(self, engine: str) -> tuple[Site, Path, float]:
        if engine not in self._archives:
            site = self.sites.make(engine=engine)
            began = time.monotonic()
            archive = Path(site.manage("diskette_dump").splitlines()[-1])
            self._archives[engine] = site, archive, time.monotonic() - began
        return self._archives[engine]


def unpacked(archive: Path, directory: Path) -> list[Path]:
    """The archive's rows as fixtures, by nothing but the formats it is made of."""
    fixtures = []
    with tarfile.open(archive) as members:
        for member in members:
            if member.name.startswith("data/"):
                fixture = directory / Path(member.name).stem
                with fixture.open("wb") as target:
                    ZstdDecompressor().copy_stream(members.extractfile(member), target)
                fixtures.append(fixture)
    return [fixture for fixture in fixtures if fixture.stat().st_size]
