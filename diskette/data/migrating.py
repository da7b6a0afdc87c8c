"""The project's migrations on a scratch database; runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.management import call_command
from django.core.management.commands.migrate import Command as MigrateCommand
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from diskette.core.report import JSON

Tell = Callable[[int], None]
Key = tuple[str, str]


def migrate(
    database: str, targets: Sequence[Sequence[str]] | None, tell: Tell, *, apart: bool = False
) -> JSON:
    """None, or the migration that failed and why.

    `apart`: squashed migrations are taken by their parts, for the targets are some of these.
    """
    try:
        if targets is None:
            call_command(
                "migrate",
                database=database,
                interactive=False,
                verbosity=0,
                run_syncdb=True,
                skip_checks=True,
            )
        else:
            _migrate_to(database, [(app, name) for app, name in targets], tell, apart=apart)
    except Exception as error:  # noqa: BLE001 - a migration is project code and may raise anything
        first = next(iter(str(error).strip().splitlines()), "")
        return {
            "migration": ".".join(_next(database)),
            "why": f"{type(error).__name__}: {first}",
        }
    return None


def _migrate_to(database: str, targets: Sequence[Key], tell: Tell, *, apart: bool) -> None:
    """As the command does for one target: with tables of unmigrated applications, and signals."""
    connection = connections[database]
    connection.prepare_database()
    executor = MigrationExecutor(connection, lambda *_: tell(0))
    executor.loader = MigrationLoader(connection, replace_migrations=not apart)
    command = MigrateCommand()
    command.verbosity = 0
    command.sync_apps(connection, executor.loader.unmigrated_apps)
    plan = executor.migration_plan(targets)
    before = executor.loader.project_state(list(executor.loader.applied_migrations))
    signal: dict[str, Any] = {"verbosity": 0, "interactive": False, "db": database, "plan": plan}
    emit_pre_migrate_signal(**signal, apps=before.apps)
    after = executor.migrate(targets, plan=plan, state=before.clone())
    after.clear_delayed_apps_cache()
    emit_post_migrate_signal(**signal, apps=after.apps)


def _next(database: str) -> Key:
    """The first migration that is not applied: the one that failed."""
    loader = MigrationLoader(connections[database], ignore_no_migrations=True)
    graph, applied = loader.graph, loader.applied_migrations
    order = dict.fromkeys(key for leaf in graph.leaf_nodes() for key in graph.forwards_plan(leaf))
    return next((key for key in order if key not in applied), ("post_migrate", "signal"))
