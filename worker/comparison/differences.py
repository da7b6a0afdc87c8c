"""Two sites' contents side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.comparison.contents import Contents, Side, read_from
from worker.comparison.databases import Table, opened

SHOWN = 5
SHOWN_LETTERS = 60


@dataclass(frozen=True, slots=True)
class Difference:
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the first site holds, and in what the second differs: in nothing, if equal."""

    contents: Contents
    differences: Sequence[Difference]

    def __str__(self) -> str:
        if self.differences:
            return "\n".join(map(str, self.differences))
        return str(self.contents)


def compare(one: Side, other: Side) -> Comparison:
    """Compare two sites, on SQLite or PostgreSQL each."""
    with opened(one.database_url) as database, opened(other.database_url) as other_database:
        # PostgreSQL's jsonb forgets the order of keys; two engines of a kind agree on it.
        keep_order = database.engine == other_database.engine
        here = read_from(database, one.trees, keep_order=keep_order)
        there = read_from(other_database, other.trees, keep_order=keep_order)
    return Comparison(contents=here, differences=differences(here, there))


def differences(here: Contents, there: Contents) -> list[Difference]:
    """Everything in which two sites differ, with some examples of each kind."""
    return [
        *_counters("here", here),
        *_counters("there", there),
        *_presence("tables", here.tables, there.tables),
        *(
            difference
            for name in sorted(here.tables.keys() & there.tables.keys())
            for difference in _tables(name, here.tables[name], there.tables[name])
        ),
        *_presence("files", here.files, there.files),
        *_changes("files", here.files, there.files),
    ]


def _counters(side: str, contents: Contents) -> list[Difference]:
    return [
        Difference(name, f"the next key {side} would be {key}, but there are higher ones")
        for name, key in contents.worn_counters.items()
    ]


def _tables(name: str, here: Table, there: Table) -> list[Difference]:
    if here.columns != there.columns:
        columns, other_columns = dict.fromkeys(here.columns), dict.fromkeys(there.columns)
        return _presence(f"columns of {name}", columns, other_columns)
    return [*_presence(name, here.rows, there.rows), *_row_changes(name, here, there)]


def _row_changes(name: str, here: Table, there: Table) -> list[Difference]:
    columns = here.columns
    return _changes(
        name,
        {key: dict(zip(columns, row, strict=True)) for key, row in here.rows.items()},
        {key: dict(zip(columns, row, strict=True)) for key, row in there.rows.items()},
    )


def _presence(
    where: str, here: Mapping[str, object], there: Mapping[str, object]
) -> list[Difference]:
    return [
        Difference(where, f"{len(found)} only {side}: {'; '.join(found[:SHOWN])}")
        for side, found in (
            ("here", sorted(here.keys() - there.keys())),
            ("there", sorted(there.keys() - here.keys())),
        )
        if found
    ]


def _changes(
    where: str, here: Mapping[str, object], there: Mapping[str, object]
) -> list[Difference]:
    changed = sorted(key for key in here.keys() & there.keys() if here[key] != there[key])
    if not changed:
        return []
    examples = (f"{key} ({_contrast(here[key], there[key])})" for key in changed[:SHOWN])
    return [Difference(where, f"{len(changed)} different: {'; '.join(examples)}")]


def _contrast(here: object, there: object) -> str:
    """Where two rows differ, column by column, or two texts from their first other letter."""
    if isinstance(here, dict) and isinstance(there, dict):
        changed = (name for name in here if here[name] != there[name])
        return "; ".join(f"{name}: {_contrast(here[name], there[name])}" for name in changed)
    return "here {}, there {}".format(*_excerpts(str(here), str(there)))


def _excerpts(here: str, there: str) -> tuple[str, str]:
    pairs = enumerate(zip(here, there, strict=False))
    first = next((place for place, (a, b) in pairs if a != b), min(len(here), len(there)))
    begin = max(0, first - SHOWN_LETTERS // 2)
    end = begin + SHOWN_LETTERS
    lead = "…" if begin else ""
    return lead + here[begin:end], lead + there[begin:end]
