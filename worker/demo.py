"""A dump and a load from beginning to end: `make demo`.

Two sites on SQLite, no server, no broker: the first is filled and dumped, the second is
freshly migrated and gets the archive; then both are compared by other means.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import humanize

from worker import comparison
from worker.servers import ServerError
from worker.sites import ROOT, CommandFailed, Site

DIRECTORY = ROOT / "var" / "demo"


def main() -> None:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    first = site_on_sqlite("first")
    second = site_on_sqlite("second")

    first.manage("migrate", "-v0")
    say("The first site", first.manage("sample_fill"))

    archive = Path(first.manage("diskette_dump").splitlines()[-1])
    say("Dumped", f"{shown(archive)}, {humanize.naturalsize(archive.stat().st_size)}")

    second.manage("migrate", "-v0")
    say("The second site", "freshly migrated, empty")

    second.manage("diskette_load", str(archive), "--no-input")
    say("Loaded", "into the second site")

    say("Compared", compare(second, first))
    say("Look around", f"DISKETTE_VAR={shown(second.directory)} .venv/bin/python manage.py shell")


def site_on_sqlite(name: str) -> Site:
    directory = DIRECTORY / name
    return Site(directory=directory, database_url=f"sqlite://{directory}/site.sqlite3")


def compare(site: Site, other: Site) -> str:
    """The two sites' rows and files, by code that is not Diskette's. Fails if they differ."""
    compared = comparison.compare(site.side, other.side)
    if compared.differences:
        raise SystemExit(f"The sites differ:\n{compared}")
    return f"equal: {compared}"


def play(story: Callable[[], None]) -> None:
    """Ctrl-C, a plain `kill` and a failure all end it in order, with a line that says why."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("Stopped."))
    try:
        story()
    except (CommandFailed, ServerError) as error:
        sys.exit(str(error))


def say(what: str, words: str) -> None:
    print(f"{what:<16} {words}", flush=True)  # noqa: T201


def shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    play(main)
