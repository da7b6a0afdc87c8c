"""Where a run's rows and files go: to what is live or, in a drill, to scratch places beside it.

The steps of a load ask here and nowhere else, so a drill is a load that is answered otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from diskette import storages
from diskette.core.lazy import Lazy
from diskette.core.plan import Kind
from diskette.steps.context import Context

if TYPE_CHECKING:
    from diskette.data import scratch
    from diskette.data.scratch import Scratch
else:
    scratch = Lazy("diskette.data.scratch")


def is_scratch(context: Context) -> bool:
    return context.run.kind == Kind.DRILL


def alias(context: Context, database: str) -> str:
    """By which the database that takes the rows of this live one is known."""
    return _beside(context, database).alias if is_scratch(context) else database


def storages_path(context: Context) -> Path:
    """The directory in which a drill puts storages, each under its name."""
    return context.workspace.path / "storages"


def live_path(context: Context, name: str) -> Path:
    """The directory that a storage's tree becomes."""
    return storages_path(context) / name if is_scratch(context) else storages.live_path(name)


def scratches(context: Context) -> list[Scratch]:
    """A scratch database for each that the archive has rows of; the default one comes first."""
    databases = context.output("fetch_archive")["databases"]
    return [_beside(context, each) for each in sorted(databases, key=_default_first)]


@contextmanager
def connected(context: Context) -> Iterator[None]:
    """Let this thread know a drill's scratch databases by their aliases."""
    with ExitStack() as open_connections:
        for each in scratches(context):
            open_connections.enter_context(each.connected())
        yield


def _beside(context: Context, database: str) -> Scratch:
    return scratch.Scratch(
        run=str(context.run.pk), database=database, workspace=context.workspace.path
    )


def _default_first(database: str) -> tuple[bool, str]:
    return database != "default", database
