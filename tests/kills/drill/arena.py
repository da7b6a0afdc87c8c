"""Where the loads are killed: a site that holds OLD, and an archive that holds NEW.

Rows, and a storage beside them if it is asked for.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.engines import Engine
from benchmarks.places import Place
from tests.kills.drill.states import NOWHERE, Held, Picture, highest_counters, picture
from tests.kills.drill.trees import Trees, files_of
from tests.leftovers import rows_left
from worker.servers import spawn
from worker.sites import ROOT, Site

MEDIA = "media"
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
    trees: Trees | None = None
    """None: rows are loaded without storages."""

    def start_load(self) -> subprocess.Popen[bytes]:
        """The real command, as the leader of a process group of its own."""
        options = ["--no-input", "--no-safety-dump"]
        options += [] if self.trees else ["--no-storages"]
        command = [sys.executable, "-m", "django", "diskette_load", str(self.archive), *options]
        return spawn(command, log=self.log, cwd=ROOT, env=self.site.environment)

    @property
    def log(self) -> Path:
        return self.site.directory / "loads.log"

    def put_old_back(self) -> None:
        fresh(self.engine, "live", "old")
        if self.trees:
            self.trees.put("old")

    def picture(self) -> Picture:
        """What the site holds now."""
        return pictured(self.engine, self.site, self.trees)

    def differences(self) -> dict[Held, list[str]]:
        """What tells the site from OLD and from NEW."""
        now = self.picture()
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
        files += self.trees.leftovers() if self.trees else []
        return [*files, *rows_left(self.site.database_url)]


def prepare(engine: Engine, directory: Path, rows: int, files: int = 0) -> Arena:
    """`files`: in the storage that is loaded along; without any, none is."""
    (directory / "archives").mkdir()
    site_on(directory, fresh(engine, "migrated")).manage("migrate", "-v0")
    trees = Trees.made(directory, directory / MEDIA, files) if files else None
    new = filled(engine, directory, "new", int(rows * MORE_IN_NEW), NEW_SEED)
    old = filled(engine, directory, "old", rows, OLD_SEED)
    archive, source = dumped(engine, new, trees)
    if trees:
        trees.put("old")
    return Arena(
        engine=engine,
        archive=archive,
        source=source,
        old=pictured(engine, old, trees),
        site=site_on(directory, fresh(engine, "live", "old")),
        trees=trees,
    )


def dumped(engine: Engine, site: Site, trees: Trees | None) -> tuple[Path, Picture]:
    """The archive of NEW, and what it was made of."""
    if trees:
        trees.put("new")
    options = [] if trees else ["--no-storages"]
    archive = site.manage("diskette_dump", *options).splitlines()[-1]
    return Path(archive), pictured(engine, site, trees)


def pictured(engine: Engine, site: Site, trees: Trees | None) -> Picture:
    found = picture(engine, site.database_url)
    return replace(found, files=files_of(trees.live)) if trees else found


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
        home=ROOT, archives=directory / "archives", database_url=url, media=directory / MEDIA
    )
    variables = place.environment("diskette")
    return Site(
        directory=directory,
        database_url=url,
        settings=variables["DJANGO_SETTINGS_MODULE"],
        variables=variables,
    )
