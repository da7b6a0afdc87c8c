"""Natural keys made real: lists in the archive become the keys of rows that will be there.

A row of the archive answers first, as it will stand once applied; then, where it stays, a
row of the live database. Content types and permissions are always the live ones: they
are never loaded. What nothing answers to, or more than one row, stays null.

A target's natural keys are computed once, by its own `natural_key`, and kept in a table
of the staging; references then take their values from it by one UPDATE each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db.models import ForeignKey, IntegerField, Model, QuerySet

from diskette.core.logs import logger_of
from diskette.data import spelling, tables
from diskette.data.engines.staging import KEYLESS, LINE
from diskette.data.outcome import Outcome

logger = logger_of(__name__)

CHUNK_ROWS = 1000
NEVER_LOADED = ("contenttypes.ContentType", "auth.Permission")
"""Migrations make their rows, so an archive can only name them."""

Pair = tuple[str, Any]
"""A natural key, as JSON, and the raw primary key it stands for."""


def spelled(key: Sequence[Any]) -> str:
    """The one spelling of a natural key, from the archive's list or a model's tuple."""
    return spelling.anything(list(key))


def live_keys(model: type[Model], using: str) -> dict[tuple[Any, ...], Any]:
    """The keys of every content type or permission, by natural key.

    They are few. A server's cursor would not outlive a statement where a pooler stands between.
    """
    rows: QuerySet[Any] = QuerySet(model=model, using=using).select_related(*_dependencies(model))
    return {tuple(row.natural_key()): row.pk for row in rows}


def references_to_migrated(model: type[Model]) -> tuple[tables.AnyReference, ...]:
    """The references to what only migrations make."""
    return tuple(
        each
        for each in tables.natural_references(model)
        if tables.concrete(each.remote_field.model)._meta.label in NEVER_LOADED
    )


def resolve(outcome: Outcome) -> None:
    """Give every staged row its key, and every reference the key it stands for.

    May be repeated: whatever is in the staging is resolved against what is live now.
    """
    resolution = _Resolution(outcome)
    for model in outcome.models:
        resolution.identify(model)
        resolution.point_all(model)


class _Resolution:
    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.engine = outcome, outcome.engine
        self._keyed: set[type[Model]] = set()

    def identify(self, model: type[Model]) -> None:
        """Rows that came without a primary key keep the live row's, or get a new one."""
        if self._count(model, f"{KEYLESS} = 1"):
            self.make_keys(model)

    def point_all(self, model: type[Model]) -> None:
        for reference in tables.natural_references(model):
            self.point(model, reference)

    def point(self, model: type[Model], reference: ForeignKey[Any, Any]) -> None:
        named = f"{self.engine.natural(model, reference)} IS NOT NULL"
        if not self._count(model, named):
            return
        referred = tables.concrete(reference.remote_field.model)
        if self.outcome.loads(referred):
            self.make_keys(referred)
        else:
            self._keep(referred, self._live_answers(model, reference))
        self.engine.execute(
            f"UPDATE {self.engine.staged(model)} AS referring"
            f" SET {self.engine.column(reference)} = ({self._answer(model, reference)})"
            f" WHERE {named}"
        )

    def _answer(self, model: type[Model], reference: ForeignKey[Any, Any]) -> str:
        referred = tables.concrete(reference.remote_field.model)
        natural = self.engine.natural(model, reference)
        (key,) = self.engine.key_columns(referred)
        column = self.engine.column(reference.target_field)
        named = f"{self.engine.keys(referred)} AS named"
        if column == key and tables.target(reference) is referred:
            return f"SELECT named.value FROM {named} WHERE named.natural_key = referring.{natural}"
        return (
            f"SELECT referred.{column} FROM {self.outcome.source(tables.target(reference))}"
            f" AS referred JOIN {named} ON referred.{key} = named.value"
            f" WHERE named.natural_key = referring.{natural}"
        )

    def make_keys(self, model: type[Model]) -> None:
        """Compute the natural keys of all rows that a loaded model will have; once."""
        if model in self._keyed:
            return
        self._keyed.add(model)
        for reference in tables.natural_references(model):
            self.point(model, reference)
        if self._count(model, f"{KEYLESS} = 1"):
            self._give_new_keys(model)
            self._adopt_live_keys(model)
        with self.outcome.shown():
            self._keep(model, self._pairs(model), alive=model in self.outcome.added)

    def _keep(
        self, model: type[Model], pairs: Iterable[Pair], table: str = "", *, alive: bool = False
    ) -> None:
        """Write the key table, without the keys that more than one row has.

        `alive`: a live row answers before one of the archive.
        """
        table = table or self.engine.keys(model)
        self.engine.make_keys(model, table, pairs)
        several = f"SELECT natural_key FROM {table} GROUP BY natural_key HAVING count(*) > 1"
        apart = f"SELECT natural_key FROM ({several}) AS several"  # MySQL reads no other way
        shared = f"DELETE FROM {table} WHERE natural_key IN ({apart})"
        if alive:
            (key,) = self.engine.key_columns(model)
            live = f"SELECT {key} FROM {self.engine.live(model)}"
            self.engine.execute(f"{shared} AND value NOT IN ({live})")
        self.engine.execute(shared)

    def _pairs(self, model: type[Model]) -> Iterator[Pair]:
        """Of every row there is where the ORM looks now."""
        key, connection = model._meta.pk, self.engine.connection
        rows: QuerySet[Any] = QuerySet(model=model, using=self.engine.database)
        for row in rows.select_related(*_dependencies(model)).iterator(CHUNK_ROWS):
            if (natural := _natural_key(row)) is not None:
                yield natural, key.get_db_prep_save(row.pk, connection)

    def _give_new_keys(self, model: type[Model]) -> None:
        """Beyond all there are. Keys with a default of their own got it when they were staged."""
        if not isinstance(model._meta.pk, IntegerField):
            return
        staged, (key,) = self.engine.staged(model), self.engine.key_columns(model)
        highest = self.engine.scalar(
            f"SELECT max(highest) FROM (SELECT max({key}) AS highest FROM {staged}"
            f" UNION ALL SELECT max({key}) FROM {self.engine.live(model)}) AS both_tables"
        )
        self.engine.execute(
            f"UPDATE {staged} SET {key} = {max(highest or 0, 0)} + {LINE}"
            f" WHERE {KEYLESS} = 1 AND {key} IS NULL"
        )

    def _adopt_live_keys(self, model: type[Model]) -> None:
        """A row that is live under the same natural key keeps its key: others may refer to it."""
        with self.outcome.shown(alone=model):
            self._keep(model, self._pairs(model))
        staged, (key,) = self.engine.staged(model), self.engine.key_columns(model)
        live = self.engine.named(f"live_{model._meta.label_lower}")
        self._keep(model, self._pairs(model), live)
        adopted = (
            f"SELECT live.value FROM {live} AS live JOIN {self.engine.keys(model)} AS own"
            f" ON own.natural_key = live.natural_key WHERE own.value = identified.{key}"
        )
        self.engine.execute(
            f"UPDATE {staged} AS identified SET {key} = ({adopted})"
            f" WHERE {KEYLESS} = 1 AND EXISTS ({adopted})"
        )

    def _live_answers(self, model: type[Model], reference: ForeignKey[Any, Any]) -> Iterator[Pair]:
        """Of a model that is not loaded: what its own manager finds."""
        referred, using = tables.concrete(reference.remote_field.model), self.engine.database
        natural = self.engine.natural(model, reference)
        named = f"SELECT DISTINCT {natural} FROM {self.engine.staged(model)}"
        wanted = [key for (key,) in self.engine.query(named) if key is not None]
        if referred._meta.label in NEVER_LOADED:
            found = live_keys(referred, using)
            known = {key: found.get(tuple(json.loads(key))) for key in wanted}
            yield from ((key, row) for key, row in known.items() if row is not None)
            return
        prepare = referred._meta.pk.get_db_prep_save
        with self.outcome.shown():
            answers = [(key, _find(referred, json.loads(key), using)) for key in wanted]
        for key, row in answers:
            if row is not None:
                yield key, prepare(row.pk, self.engine.connection)

    def _count(self, model: type[Model], condition: str) -> int:
        staged = self.engine.staged(model)
        return int(self.engine.scalar(f"SELECT count(*) FROM {staged} WHERE {condition}"))


def _dependencies(model: type[Model]) -> list[str]:
    """The references that the natural key says it goes through, to be read along."""
    labels = getattr(getattr(model, "natural_key", None), "dependencies", ())
    through = {tables.concrete(apps.get_model(label))._meta.label for label in labels}
    return [
        field.name
        for field in model._meta.fields
        if isinstance(field, ForeignKey)
        and tables.concrete(field.remote_field.model)._meta.label in through
    ]


def _natural_key(row: Model) -> str | None:
    """A pair of a many-to-many relation is known by what it joins.

    None where the project's method cannot say; the references to the row are told instead.
    """
    if row._meta.auto_created:
        return spelled([getattr(row, each.attname) for each in tables.references(type(row))])
    try:
        return spelled(row.natural_key())  # type: ignore[attr-defined]
    except Exception:
        logger.warning("%s(pk=%s).natural_key() failed", row._meta.label, row.pk, exc_info=True)
        return None


def _find(model: type[Model], key: Sequence[Any], using: str) -> Model | None:
    manager = tables.manager(model).db_manager(using)
    try:
        found: Model = manager.get_by_natural_key(*key)
    except (ObjectDoesNotExist, MultipleObjectsReturned, TypeError, ValueError):
        return None
    return found
