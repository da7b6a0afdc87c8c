"""What one site holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from humanize import intcomma

from worker.comparison.databases import Database, Table, opened
from worker.comparison.files import DIRECTORY, read_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Where a site keeps what is compared."""

    database_url: str
    """sqlite:///path, postgresql://user:password@host:port/name or mysql://..."""
    trees: Mapping[str, Path]
    """Directories of files, by the name they are called here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Tables by name, files by path beginning with their tree's name."""

    tables: Mapping[str, Table]
    files: Mapping[str, str]
    worn_counters: Mapping[str, int]
    """Tables whose next key is taken already, and which it is."""

    @property
    def rows(self) -> int:
        return sum(len(table.rows) for table in self.tables.values())

    def __str__(self) -> str:
        files = sum(not line.startswith(DIRECTORY) for line in self.files.values())
        counts = intcomma(self.rows), len(self.tables), intcomma(files)
        return "{} rows in {} tables, {} files".format(*counts)


def read(side: Side) -> Contents:
    """Everything a site holds, but bookkeeping."""
    with opened(side.database_url) as database:
        return read_from(database, side.trees, keep_order=False)


def read_from(database: Database, trees: Mapping[str, Path], *, keep_order: bool) -> Contents:
    """The same from an open database; `keep_order`: of the keys in JSON objects."""
    return Contents(
        tables=database.read_tables(keep_order=keep_order),
        files={path: line for name in trees for path, line in read_files(trees[name], name)},
        worn_counters=database.worn_counters(),
    )


def picture(contents: Contents) -> dict[str, str]:
    """A line for each table and file: two pictures are equal when the sites are."""
    lines = {name: _line(table) for name, table in contents.tables.items()}
    return lines | dict(contents.files)


def _line(table: Table) -> str:
    content = repr((table.columns, sorted(table.rows.items())))
    return f"{len(table.rows)} rows {hashlib.sha256(content.encode()).hexdigest()}"
