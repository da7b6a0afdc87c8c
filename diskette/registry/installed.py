"""What Django has installed: models by label, and which of them have rows to dump."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from functools import cached_property
from itertools import groupby

from django.apps import apps
from django.db import connections, router
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model

from diskette.core.exceptions import ConfigurationError

ModelType = type[Model]

BOOKKEEPING = {
    "diskette": "Diskette's own runs",
    "django_celery_beat": "schedules of this installation",
    "django_celery_results": "results of this installation's tasks",
    "django.contrib.sessions": "sessions of this installation's visitors",
}
"""Applications, by python path, whose rows tell of the installation and not of its data.

The table of applied migrations is such a one too, but has no installed model.
"""

MADE_BY_MIGRATE = frozenset(
    {"django.contrib.contenttypes.models.ContentType", "django.contrib.auth.models.Permission"}
)
"""Models whose rows `migrate` makes, under keys of each database's own."""


def is_bookkeeping(model: ModelType) -> bool:
    """Whether its rows tell of this installation: runs, results, schedules, sessions."""
    return _kept_by(model) is not None


def is_made_by_migrate(model: ModelType) -> bool:
    """Whether other rows refer to its rows by natural key, whatever the definitions say."""
    return f"{model.__module__}.{model.__qualname__}" in MADE_BY_MIGRATE


def never_dumped(model: ModelType) -> bool:
    """Whether its rows are in no archive, whatever the definitions say."""
    return is_bookkeeping(model) or is_made_by_migrate(model)


def find_model(label: str) -> ModelType | None:
    """The installed model of that label, spelled as Django does: `auth.User_groups`."""
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return None
    return model if model._meta.label == label else None


def application_labels() -> frozenset[str]:
    """Of every installed application, with models or without."""
    return frozenset(apps.app_configs)


def all_models() -> list[ModelType]:
    """Every installed model, in the order of INSTALLED_APPS."""
    return apps.get_models(include_auto_created=True, include_swapped=True)


def dumpable_models() -> tuple[ModelType, ...]:
    """Every installed model with rows to dump, tables made for many-to-many fields included."""
    return tuple(model for model in all_models() if is_dumpable(model))


def is_dumpable(model: ModelType) -> bool:
    """Whether a dump may read the model's table, and so a load may fill it."""
    return not why_left_out(model, home(model))


def home(model: ModelType) -> str:
    """Alias of the database that the project writes the model's rows to."""
    return str(router.db_for_write(model))


def owner_of(model: ModelType) -> ModelType | None:
    """The model that declares the many-to-many field this table was made for, if it was."""
    owner: object = model._meta.auto_created
    return owner if isinstance(owner, type) else None


def why_left_out(model: ModelType, database: str) -> str:
    """Why the model has no rows to dump from that database; "" if it has."""
    if reason := why_without_rows(model):
        return reason
    if not (owner_of(model) or model)._meta.can_migrate(database):
        return f"its table is not made on {connections[database].display_name}"
    if not router.allow_migrate_model(database, model):
        return f"the router keeps it out of database {database!r}"
    return ""


def why_without_rows(model: ModelType) -> str:
    """Why the model has no rows to dump from any database; "" if it has."""
    if kept := _kept_by(model):
        return BOOKKEEPING[kept]
    if is_made_by_migrate(model):
        return "migrate makes its rows; others refer to them by natural key"
    meta = model._meta
    if meta.proxy:
        return f"a proxy, its rows are {concrete(model)._meta.label}'s"
    if meta.swapped:
        return f"swapped for {meta.swapped}"
    if not (owner_of(model) or model)._meta.managed:
        return "unmanaged, its table is not Django's"
    return ""


def concrete(model: ModelType) -> ModelType:
    """The model that has the table."""
    return model._meta.concrete_model or model


def migration_leaves(using: str) -> dict[str, tuple[str, ...]]:
    """Per application label, the applied migrations that no other applied one builds on.

    Raises ConfigurationError where the migrations on disk are no whole graph.
    """
    loader = _loader(using)
    nodes = loader.graph.node_map
    applied = {key: nodes[key] for key in sorted(nodes) if key in loader.applied_migrations}
    return _by_application(
        (app, name)
        for (app, name), node in applied.items()
        if not any(child.key[0] == app and child.key in applied for child in node.children)
    )


def unapplied_migrations(using: str) -> dict[str, tuple[str, ...]]:
    """Per application label, the migrations on disk that this database lacks."""
    loader = _loader(using)
    return _by_application(sorted(loader.graph.nodes.keys() - loader.applied_migrations.keys()))


def migrations_on_disk(using: str) -> dict[str, tuple[str, ...]]:
    """Per application label, every migration that this release of the project has, or squashed."""
    found = _loader(using).disk_migrations
    replaced = {(app, name) for each in found.values() for app, name in each.replaces}
    return _by_application(sorted(found.keys() | replaced))


def _loader(using: str) -> MigrationLoader:
    try:
        return MigrationLoader(connections[using], ignore_no_migrations=True)
    except (BadMigrationError, NodeNotFoundError) as error:
        raise ConfigurationError(
            f"The migrations cannot be read: {error}. manage.py showmigrations shows where."
        ) from error


def _by_application(keys: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    return {app: tuple(name for _, name in group) for app, group in groupby(keys, lambda k: k[0])}


class Installed:
    """The application registry as labels see it. Made anew for each resolution."""

    @cached_property
    def models(self) -> dict[str, ModelType]:
        """Every model by its label, in the order of INSTALLED_APPS."""
        return {model._meta.label: model for model in all_models()}

    def dumpable(self, database: str) -> set[ModelType]:
        """Models with rows to dump from that database."""
        return {each for each in self.models.values() if not why_left_out(each, database)}

    @cached_property
    def applications(self) -> dict[str, tuple[ModelType, ...]]:
        """Models by application label; an application without models is not here."""
        grouped = groupby(self.models.values(), lambda model: model._meta.app_label)
        return {label: tuple(models) for label, models in grouped}

    def cure(self, label: str, known: Collection[str]) -> str:
        """What to write instead of a label that nothing has."""
        paths = {config.name: config.label for config in apps.get_app_configs()}
        bare = {model.partition(".")[2].casefold(): model for model in self.models}
        folded = bare | {each.casefold(): each for each in known}
        near = difflib.get_close_matches(label.casefold(), folded, n=1)
        likely = paths.get(label) or next((folded[each] for each in near), None)
        if likely in known:
            return f"Did you mean {likely!r}?"
        return "manage.py diskette_apps prints the labels there are."


def _kept_by(model: ModelType) -> str | None:
    module = f"{model.__module__}."
    return next((path for path in BOOKKEEPING if module.startswith(f"{path}.")), None)
