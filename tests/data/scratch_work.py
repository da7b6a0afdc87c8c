"""What tests have done in a process apart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import django
from django.db import OperationalError, connections

Tell = Callable[[int], None]


def look(database: str, tell: Tell) -> dict[str, object]:
    """Which database the alias leads to, and what becomes of asking the others."""
    print("what project code prints goes to the log")  # noqa: T201 - as project code does
    tell(3)
    refused = {}
    for alias in connections:
        try:
            connections[alias].ensure_connection()
        except OperationalError as error:
            refused[alias] = str(error)
    return {"name": str(connections[database].settings_dict["NAME"]), "refused": refused}


def note_pids_and_wait(database: str, file: str, tell: Tell) -> None:
    """Its own, and that of a process that it has started, as a check with `pg_dump` would."""
    child = subprocess.Popen(["sleep", "3600"])
    Path(file).with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
    Path(file).with_suffix(".new").rename(file)
    child.wait()


def die(database: str, tell: Tell) -> None:
    print("last words", flush=True)  # noqa: T201 - the same
    os._exit(7)


def main(run: str, database: str, workspace: str) -> None:
    """A process that is killed while one of its own works for it on a scratch database."""
    django.setup()
    from diskette.data.scratch import scratch

    with scratch(run, database, Path(workspace)) as made:
        file = str(Path(workspace) / "pids")
        made.apart("tests.data.scratch_work:note_pids_and_wait", lambda _: None, file=file)


if __name__ == "__main__":
    main(*sys.argv[1:])
