"""Where the loads are killed: a database that holds OLD, and an archive that holds NEW."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engines import Engine
from benchmarks.places import Place
from tests.kills.drill.states import NOWHERE, Held, Picture, highest_counters, leftovers, picture
from worker.servers import spawn
from worker.sites import ROOT, Site

OLD_SEED = 1
NEW_SEED = 2
MORE_IN_NEW = 1.01
"""So that the counters of keys differ, too."""


@dataclass(kw_only=True)
class Arena:
    """`old` is there from the beginning, `new` once a load was let through."""

    engine: Engine
    site: Site
    archive: Path
    source: Picture
    """What the archive was made of."""
    old: Picture
    new: Picture | None = None

    def start_load(self) -> subprocess.Popen[bytes]:
        """The real command, as the leader of a process group of its own."""
        options = ["--no-input", "--no-safety-dump", "--no-storages"]
        command = [sys.executable, "-m", "django", "diskette_load", str(self.archive), *options]
        return spawn(command, log=self.log, cwd=ROOT, env=self.site.environment)

    @property
    def log(self) -> Path:
        return self.site.directory / "loads.log"

    def put_old_back(self) -> None:
        fresh(self.engine, "live", "old")

    def differences(self) -> dict[Held, list[str]]:
        """What tells the database from OLD and from NEW."""
        now = picture(self.engine, self.site.database_url)
        states = {Held.OLD: self.old, Held.NEW: self.new}
        known = {held: state for held, state in states.items() if state}
        rising = self.engine.counters_may_stay_higher
        highest = highest_counters(known.values()) if rising else NOWHERE
        return {held: state.differences(now, highest) for held, state in known.items()}

    def leftovers(self) -> list[str]:
        """What an ended run should have cleared: workspaces, journals, rows, staging."""
        workspaces = (self.site.archives / ".diskette").glob("*")
        journals = self.site.directory.glob("live.sqlite3-*")
        files = [path.name for path in (*workspaces, *journals)]
        return [*files, *leftovers(self.engine, self.site.database_url)]


def prepare(engine: Engine, directory: Path, rows: int) -> Arena:
    (directory / "archives").mkdir()
    site_on(directory, fresh(engine, "migrated")).manage("migrate", "-v0")
    new = filled(engine, directory, "new", int(rows * MORE_IN_NEW), NEW_SEED)
    old = filled(engine, directory, "old", rows, OLD_SEED)
    return Arena(
        engine=engine,
        archive=Path(new.manage("diskette_dump", "--no-storages").splitlines()[-1]),
        source=picture(engine, new.database_url),
        old=picture(engine, old.database_url),
        site=site_on(directory, fresh(engine, "live", "old")),
    )


def filled(engine: Engine, directory: Path, name: str, rows: int, seed: int) -> Site:
    site = site_on(directory, fresh(engine, name, "migrated"))
    command = [sys.executable, "-m", "benchmarks.project.fill", str(rows), str(seed)]
    subprocess.run(command, cwd=ROOT, env=site.environment, check=True)
    return site


def fresh(engine: Engine, name: str, template: str | None = None) -> str:
    """A database in place of one of that name; its URL."""
    engine.drop(name)
    return engine.create(name, template)


def site_on(directory: Path, url: str) -> Site:
    place = Place(
        home=ROOT, archives=directory / "archives", database_url=url, media=directory / "media"
    )
    variables = place.environment("diskette")
    return Site(
        directory=directory,
        database_url=url,
        settings=variables["DJANGO_SETTINGS_MODULE"],
        variables=variables,
    )
