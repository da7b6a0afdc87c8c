"""Files that rows name, compared with those that storages hold.

Both may be many: names meet in a database of their own, on disk, that goes with this process.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import humanize
from django.db.models import FileField, QuerySet

from diskette.core.logs import logger_of
from diskette.core.report import Finding, Severity
from diskette.data import tables
from diskette.data.findings import SAMPLE, listed, rows
from diskette.data.soundness import Table
from diskette.storages import Excludes, Storage, walk

logger = logger_of(__name__)

PAGE_ROWS = 2000
SCHEMA = """
CREATE TABLE held (path TEXT PRIMARY KEY, storage INTEGER, bytes INTEGER) WITHOUT ROWID;
CREATE TABLE named (path TEXT, field INTEGER, row, name TEXT);
CREATE INDEX named_path ON named (path);
"""
LOST = "FROM named WHERE field = ? AND NOT EXISTS (SELECT 1 FROM held WHERE held.path = named.path)"
LOOSE = (
    "FROM held WHERE storage = ? AND NOT EXISTS (SELECT 1 FROM named WHERE named.path = held.path)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A field that names files, and the directory they are relative to."""

    table: Table
    field: FileField
    directory: Path

    def is_in(self, storage: Storage) -> bool:
        root = storage.root.resolve()
        return self.directory.is_relative_to(root) or root.is_relative_to(self.directory)


def of_files(
    dumped: Sequence[Table],
    others: Sequence[Table],
    storages: Sequence[Storage],
    tick: Callable[[int], None],
) -> Iterator[Finding]:
    """Names without a file, of dumped rows; files without a name, of any row."""
    own = {table.model for table in dumped}
    places = [place for table in (*dumped, *others) for place in _places(table)]
    with closing(sqlite3.connect("")) as names:
        names.executescript(SCHEMA)
        for number, place in enumerate(places):
            names.executemany("INSERT INTO named VALUES (?, ?, ?, ?)", _named(place, number, tick))
        for number, storage in enumerate(storages):
            names.executemany("INSERT INTO held VALUES (?, ?, ?)", _held(storage, number, tick))
        for number, place in enumerate(places):
            if place.table.model in own:
                yield from _lost(names, number, place, storages)
        for number, storage in enumerate(storages):
            if any(place.is_in(storage) for place in places):
                yield from _loose(names, number, storage)


def _places(table: Table) -> Iterator[Place]:
    """The model's fields whose files lie in a directory of this machine."""
    for field in tables.stored_fields(table.model):
        if isinstance(field, FileField) and (directory := _directory(field)):
            yield Place(table=table, field=field, directory=Path(directory).resolve())


def _directory(field: FileField) -> str:
    """Empty where a service keeps the files, of which no archive holds any."""
    try:
        return str(field.storage.path(""))
    except Exception as error:  # noqa: BLE001 - a project's own storage
        logger.debug("%s keeps its files in no directory: %r", field, error)
        return ""


def _named(
    place: Place, number: int, tick: Callable[[int], None]
) -> Iterator[tuple[str, int, str, str]]:
    """By primary key, page by page: MySQL's driver would fetch all rows at once."""
    found: QuerySet[Any] = QuerySet(place.table.model, using=place.table.using)
    name, directory = place.field.name, str(place.directory)
    chosen = found.exclude(**{name: ""}).filter(**{f"{name}__isnull": False}).order_by("pk")
    page = list(chosen.values_list("pk", name)[:PAGE_ROWS])
    while page:
        for key, value in page:
            yield os.path.normpath(f"{directory}/{value}"), number, str(key), str(value)
        tick(0)
        last, _ = page[-1]
        page = list(chosen.filter(pk__gt=last).values_list("pk", name)[:PAGE_ROWS])


def _held(
    storage: Storage, number: int, tick: Callable[[int], None]
) -> Iterator[tuple[str, int, int]]:
    root = storage.root.resolve()
    for found in walk(storage.root, Excludes(storage.excludes), _pass_over):
        if not stat.S_ISDIR(found.status.st_mode):
            yield f"{root}/{found.path}", number, found.status.st_size
            tick(0)


def _pass_over(_path: str, _error: OSError) -> None:
    """Collecting the storage tells what cannot be read."""


def _lost(
    names: sqlite3.Connection, number: int, place: Place, storages: Sequence[Storage]
) -> Iterator[Finding]:
    ((count,),) = names.execute(f"SELECT count(*) {LOST}", [number])
    if not count:
        return
    found = names.execute(f"SELECT name, row {LOST} ORDER BY name LIMIT {SAMPLE}", [number])
    keys, objects = zip(*found, strict=True)
    label, field = place.table.model._meta.label, place.field.name
    cure = f"Put the files back into {place.directory}, or empty {field} in these rows"
    if not any(place.is_in(storage) for storage in storages):
        cure = f"Add Path({str(place.directory)!r}) to DISKETTE_STORAGES"
    yield Finding(
        code="file-missing",
        severity=Severity.WARNING,
        message=f"{label}.{field} names in {rows(count)} a file that no storage holds: "
        f"{listed(keys)}.",
        hint=f"{cure}; then dump again.",
        model=label,
        field=field,
        keys=keys,
        objects=objects,
        count=count,
    )


def _loose(names: sqlite3.Connection, number: int, storage: Storage) -> Iterator[Finding]:
    ((count, size),) = names.execute(f"SELECT count(*), sum(bytes) {LOOSE}", [number])
    if not count:
        return
    found = names.execute(f"SELECT path {LOOSE} ORDER BY path LIMIT {SAMPLE}", [number])
    root = storage.root.resolve()
    keys = tuple(Path(path).relative_to(root).as_posix() for (path,) in found)
    yield Finding(
        code="file-unnamed",
        severity=Severity.INFO,
        message=f"{storage.name}: no FileField names {humanize.intcomma(count)} of its files "
        f"({humanize.naturalsize(size)}): {listed(keys)}.",
        hint="Nothing has to be done: they are dumped. Delete them if nothing else needs them, as "
        "thumbnails or texts may.",
        keys=keys,
        count=count,
    )
