"""The database as it will be once the staged rows are applied, to be read beforehand."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Model

from diskette.data import tables
from diskette.data.engines.staging import EngineStaging


class Mode(StrEnum):
    """What loading does to the rows that are there."""

    REPLACE = "replace"
    """The tables hold what the archive holds."""
    MERGE = "merge"
    """Rows of the archive are inserted or updated by primary key; nothing is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    engine: EngineStaging
    models: tuple[type[Model], ...]
    """The models that are staged, in load order."""
    neighbours: tuple[type[Model], ...]
    """The models whose tables stay as they are, beside them."""
    mode: Mode
    added: Collection[type[Model]] = ()
    """Of the models, those of which only rows that the others need and nobody has are loaded."""
    alone: bool = False
    """Whether the archive is judged by itself, and no site is beside it."""

    def merges(self, model: type[Model]) -> bool:
        """Whether the model's live rows stay, where the archive does not change them."""
        return self.loads(model) and (self.mode is Mode.MERGE or model in self.added)

    def loads(self, model: type[Model]) -> bool:
        return model in self.models

    def has(self, model: type[Model]) -> bool:
        """Whether the model's rows will be in this database at all."""
        return self.loads(model) or model in self.neighbours

    def source(self, model: type[Model]) -> str:
        """Where the model's rows will be: a selection in parentheses, or its live table."""
        return f"({self.selection(model)})" if self.loads(model) else self.engine.live(model)

    def selection(self, model: type[Model]) -> str:
        """The rows of a staged model, as its live table will show them."""
        staged = self.staged(model)
        return f"{staged} UNION ALL {self.kept(model)}" if self.merges(model) else staged

    def staged(self, model: type[Model]) -> str:
        """The staged rows alone, with what the database will generate."""
        return f"SELECT {self._outputs(model)} FROM {self.engine.staged(model)}"

    def kept(self, model: type[Model]) -> str:
        """The live rows of a model that the load leaves as they are."""
        names = [*self.engine.columns(model), *self._generated(model)]
        rows = f"SELECT {', '.join(names)} FROM {self.engine.live(model)} AS kept"
        if not self.loads(model):
            return rows
        same = " AND ".join(f"staged.{key} = kept.{key}" for key in self.engine.key_columns(model))
        return (
            f"{rows} WHERE NOT EXISTS"
            f" (SELECT 1 FROM {self.engine.staged(model)} AS staged WHERE {same})"
        )

    def shown(self, *, alone: type[Model] | None = None) -> AbstractContextManager[None]:
        """Let the ORM see it; a table in a schema of its own name cannot be shown.

        `alone`: the model of which only the staged rows are shown.
        """
        names = {model: model._meta.db_table for model in self.models}
        return self.engine.shadowed(
            {
                name: self.staged(model) if model is alone else self.selection(model)
                for model, name in names.items()
                if '"' not in name
            }
        )

    def _outputs(self, model: type[Model]) -> str:
        expressions = [
            f"({self._expression(field)}) AS {self.engine.column(field)}"
            for field in tables.generated_fields(model)
        ]
        return ", ".join([*self.engine.columns(model), *expressions])

    def _expression(self, field: Any) -> str:
        connection = self.engine.connection
        sql, parameters = field.generated_sql(connection)
        quote = connection.schema_editor().quote_value
        return str(sql % tuple(quote(each) for each in parameters))

    def _generated(self, model: type[Model]) -> list[str]:
        return [self.engine.column(field) for field in tables.generated_fields(model)]
