"""Labels become models: what is dumped, under which definition, and in which order.

Reads DISKETTE_APPS and Django's application registry, never the data. Everything wrong
with the definitions is told at once; what is left out or moved is told as findings.
The rules for users: docs/definitions.md.
"""

from __future__ import annotations

from diskette.registry.findings import Gap, of_gap
from diskette.registry.installed import (
    ModelType,
    application_labels,
    dumpable_models,
    find_model,
    home,
    is_bookkeeping,
    is_dumpable,
    migration_leaves,
    migrations_on_disk,
    never_dumped,
    owner_of,
    unapplied_migrations,
)
from diskette.registry.relations import Need, Relation, load_order, relations
from diskette.registry.resolution import (
    Resolution,
    ResolvedDefinition,
    made_from_installed,
    resolve,
    unabridged,
)

__all__ = [
    "Gap",
    "ModelType",
    "Need",
    "Relation",
    "Resolution",
    "ResolvedDefinition",
    "application_labels",
    "dumpable_models",
    "find_model",
    "home",
    "is_bookkeeping",
    "is_dumpable",
    "load_order",
    "made_from_installed",
    "migration_leaves",
    "migrations_on_disk",
    "never_dumped",
    "of_gap",
    "owner_of",
    "relations",
    "resolve",
    "unabridged",
    "unapplied_migrations",
]
