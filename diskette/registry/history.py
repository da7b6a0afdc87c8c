"""Where the migrations that an archive was made at stand among this project's own.

Read from files alone: no database is asked. Names that a squashed migration has replaced
stand for its parts while those are there, and for the squashed one as a whole afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.migrations import Migration, RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from diskette.core.exceptions import ConfigurationError

Key = tuple[str, str]
"""An application's label and the name of one of its migrations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    loader: MigrationLoader
    targets: tuple[Key, ...]
    """What an empty database is to be migrated to for the archive's state."""
    apart: bool
    """Whether squashed migrations are to be taken by their parts for it."""
    unknown: tuple[Key, ...]
    """Names that nothing here has: the archive is ahead, or of another project."""
    within: Mapping[Key, str]
    """Names that lie within a squashed migration whose parts are gone, and its name."""

    @property
    def missing(self) -> list[Migration]:
        """What the archive has not gone through yet, in an order in which it can."""
        graph = self.loader.graph
        gone_through = {key for target in self.targets for key in graph.forwards_plan(target)}
        order = dict.fromkeys(k for leaf in graph.leaf_nodes() for k in graph.forwards_plan(leaf))
        squashed = self.loader.replacements if self.apart else {}
        left = [key for key in order if key not in gone_through and key not in squashed]
        return [graph.nodes[key] for key in left]

    def state(self) -> ProjectState:
        """The models as they were where the archive was made."""
        return self.loader.project_state(list(self.targets))


def standing(leaves: Mapping[str, Sequence[str]], labels: Collection[str]) -> Standing:
    """Of the leaves that a manifest has per application; `labels` are those that must be known.

    Raises ConfigurationError where the migrations on disk are no whole graph.
    """
    squashed, whole = _loader(apart=False), _loader(apart=True)
    recorded = [(label, name) for label in sorted(leaves) for name in leaves[label]]
    recorded = [key for key in recorded if key[0] in squashed.migrated_apps or key[0] in labels]
    is_apart = any(key in whole.graph.nodes and key not in squashed.graph.nodes for key in recorded)
    loader = whole if is_apart else squashed
    placed = {key: _placed(key, loader) for key in recorded}
    within = {key: name for key in recorded if (name := _holder(key, loader)) and not placed[key]}
    return Standing(
        loader=loader,
        targets=tuple(dict.fromkeys(found for found in placed.values() if found)),
        apart=is_apart,
        unknown=tuple(k for k in recorded if not placed[k] and k not in within and k[0] in labels),
        within={key: name for key, name in within.items() if key[0] in labels},
    )


def operations(migration: Migration) -> Iterator[Operation]:
    """What it does to the state, one by one."""
    return _flat(migration.operations)


def runs_code(migration: Migration) -> bool:
    """Whether it does to rows what no comparison of models can tell."""
    return any(_is_code(each) for each in migration.operations)


def _flat(found: Iterable[Operation]) -> Iterator[Operation]:
    for each in found:
        if isinstance(each, SeparateDatabaseAndState):
            yield from _flat(each.state_operations)
        else:
            yield each


def _is_code(operation: Operation) -> bool:
    if isinstance(operation, SeparateDatabaseAndState):
        return any(map(_is_code, operation.database_operations))
    known = type(operation).__module__.startswith(("django.db.migrations.", "django.contrib."))
    return isinstance(operation, (RunPython, RunSQL)) or not known


def _loader(*, apart: bool) -> MigrationLoader:
    try:
        return MigrationLoader(None, ignore_no_migrations=True, replace_migrations=not apart)
    except (BadMigrationError, NodeNotFoundError) as error:
        raise ConfigurationError(
            f"The migrations cannot be read: {error}. manage.py showmigrations shows where."
        ) from error


def _placed(key: Key, loader: MigrationLoader) -> Key | None:
    """The migration here after which the state is the one after `key`."""
    seen: set[Key] = set()
    while key not in loader.graph.nodes and key not in seen:
        seen.add(key)
        ended = (s for s, each in loader.disk_migrations.items() if _last(each, key[0]) == key)
        key = next(ended, key)
    return key if key in loader.graph.nodes else None


def _last(migration: Migration, label: str) -> Key | None:
    replaced = [(app, name) for app, name in migration.replaces if app == label]
    return replaced[-1] if replaced else None


def _holder(key: Key, loader: MigrationLoader) -> str:
    """The squashed migration that has taken its place, and more."""
    found = (k for k, each in loader.disk_migrations.items() if key in map(tuple, each.replaces))
    return ".".join(next(found, ()))
