"""What a database and a storage hold: nothing of Diskette takes part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from benchmarks.checksums import BOOKKEEPING_PREFIXES, TableSums, losses
from benchmarks.engines import Engine
from tests.kills.drill.trees import Files
from tests.leftovers import connected

COUNTERS = {
    "postgresql": "SELECT sequencename::text, last_value FROM pg_sequences",
    "sqlite": "SELECT name, seq FROM sqlite_sequence",
    "mariadb": "SELECT table_name, auto_increment FROM information_schema.tables"
    " WHERE table_schema = database() AND auto_increment IS NOT NULL",
}
Counters = Mapping[str, int | None]
NOWHERE: Counters = MappingProxyType({})


class Held(StrEnum):
    """Which of the two states a database holds, and the storage with it."""

    OLD = "old"
    NEW = "new"
    NEITHER = "NEITHER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Sums over each table's rows, where the counters of keys stand, and the storage's files."""

    tables: Mapping[str, TableSums]
    counters: Counters
    files: Files = field(default_factory=dict)

    def differences(self, other: Picture, highest: Counters = NOWHERE) -> list[str]:
        """What tells `other` from it; its counters may stand higher, up to where `highest` says."""
        moved = dict(self.counters.items() ^ other.counters.items())
        told = [
            f"counter {name}"
            for name in sorted(moved)
            if not _is_between(self.counters.get(name), other.counters.get(name), highest.get(name))
        ]
        files = {path for path, _ in self.files.items() ^ other.files.items()}
        told += [f"{len(files)} files ({min(files)}…)"] if files else []
        return [*losses(self.tables, other.tables), *told]


def _is_between(lowest: int | None, at: int | None, highest: int | None) -> bool:
    if lowest is None or at is None or highest is None:
        return False
    return lowest <= at <= highest


def highest_counters(pictures: Iterable[Picture]) -> Counters:
    """The highest that each stands at in any of them."""
    found: dict[str, int | None] = {}
    for each in pictures:
        for name, at in each.counters.items():
            found[name] = max(filter(None, (at, found.get(name))), default=None)
    return found


def picture(engine: Engine, url: str) -> Picture:
    with connected(url) as ask:
        counters = dict(ask(COUNTERS[engine.name]))
    own = {name: at for name, at in counters.items() if not name.startswith(BOOKKEEPING_PREFIXES)}
    return Picture(tables=engine.checksums(url), counters=own)
