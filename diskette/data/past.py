"""Models as they were where an archive was made, and what became of them since."""

from __future__ import annotations

import inspect
from functools import cached_property
from types import FunctionType
from typing import Any, NoReturn

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db.migrations.operations import DeleteModel, RenameField, RenameModel
from django.db.migrations.state import ProjectState
from django.db.models import Model

from diskette.data import tables
from diskette.registry import history
from diskette.registry.history import Standing

AnyModel = type[Model]

BOUND = (FunctionType, classmethod, property, staticmethod)


class Past:
    """The historical models of a state, and the way from there to here."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing

    @cached_property
    def _state(self) -> ProjectState:
        return self.standing.state()

    @cached_property
    def models(self) -> dict[str, AnyModel]:
        """By label, as Django spells them; with the natural keys that today's models have."""
        found = self._state.apps.get_models(include_auto_created=True, include_swapped=True)
        models = {model._meta.label: model for model in found}
        for label, model in models.items():
            _graft(model, self._today.get(label))
        return models

    def find(self, label: str) -> AnyModel | None:
        return self.models.get(label)

    def origin(self, model: AnyModel) -> str:
        """The label that today's model had then; "" where there was none."""
        return self._origins.get(model, "")

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Labels of today by those of then, where they differ."""
        return {
            old: model._meta.label
            for model, old in self._origins.items()
            if model._meta.label != old
        }

    @cached_property
    def _origins(self) -> dict[AnyModel, str]:
        return {model: label for label, model in self._today.items()}

    @cached_property
    def _today(self) -> dict[str, AnyModel]:
        """What became of each model of then: it was renamed, moved with its table, or it stays."""
        then = self._state.models
        labels = {f"{app}.{state.name}": f"{app}.{name}" for (app, name), state in then.items()}
        ways = {old: self._way(path) for old, path in labels.items()}
        found = {old: model for old, way in ways.items() if (model := _model(way))}
        left = [each for each in apps.get_models() if each not in found.values()]
        by_table = {each._meta.db_table: each for each in left if not each._meta.proxy}
        rendered = self._state.apps
        for old in labels.keys() - found.keys():
            table = rendered.get_model(old)._meta.db_table
            if table in by_table:
                found[old] = by_table[table]
        return found | dict(self._pairs_of(found))

    def _way(self, path: str) -> str:
        """The lower-case label that a model has after every migration; "" where it is deleted."""
        for migration in self.standing.missing:
            for each in history.operations(migration):
                label = migration.app_label
                match each:
                    case RenameModel() if f"{label}.{each.old_name_lower}" == path:
                        path = f"{label}.{each.new_name_lower}"
                    case DeleteModel() if f"{label}.{each.name_lower}" == path:
                        return ""
        return path

    def _pairs_of(self, found: dict[str, AnyModel]) -> list[tuple[str, AnyModel]]:
        """Tables of many-to-many fields, which follow the names of model and field."""
        rendered, pairs = self._state.apps, []
        for old, model in found.items():
            for field in rendered.get_model(old)._meta.local_many_to_many:
                name = self._field(old, field.name)
                today = {each.name: each for each in model._meta.local_many_to_many}.get(name)
                then, now = (_through(each) if each else None for each in (field, today))
                if then is not None and now is not None:
                    pairs.append((then._meta.label, now))
        return pairs

    def _field(self, owner: str, name: str) -> str:
        """What a field of a model of then is called today."""
        path = owner.lower()
        for migration in self.standing.missing:
            for each in history.operations(migration):
                label = migration.app_label
                match each:
                    case RenameModel() if f"{label}.{each.old_name_lower}" == path:
                        path = f"{label}.{each.new_name_lower}"
                    case RenameField() if (
                        f"{label}.{each.model_name_lower}" == path
                        and each.old_name_lower == name.lower()
                    ):
                        name = each.new_name
        return name


def _through(field: Any) -> AnyModel | None:
    """The table of pairs that Django made for a many-to-many field."""
    through: AnyModel = field.remote_field.through
    return through if through._meta.auto_created else None


def _model(label: str) -> AnyModel | None:
    try:
        return apps.get_model(label) if label else None
    except LookupError:
        return None


def _graft(model: AnyModel, today: AnyModel | None) -> None:
    """Give a historical model the natural key of today's, with the methods that it calls.

    Migrations know fields alone; an archive may name rows by what a method makes of them.
    """
    if today is None or not tables.has_natural_key(today):
        return

    def missing(row: Model, name: str) -> Any:
        found = inspect.getattr_static(today, name)
        if isinstance(found, BOUND):
            return found.__get__(row, today)
        if isinstance(found, str | tuple | int):
            return found
        raise AttributeError(name)  # a field that it did not have then, say

    graft: Any = model
    graft.natural_key = today.natural_key  # type: ignore[attr-defined]
    graft.__getattr__ = missing
    tables.manager(model).get_by_natural_key = _nobody


def _nobody(*_: object) -> NoReturn:
    """All rows there are, are staged: nobody else answers to a natural key."""
    raise ObjectDoesNotExist
