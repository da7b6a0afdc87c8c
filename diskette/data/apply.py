"""The one transaction that makes staged rows live ones.

Before its commit nothing has happened, after it all has: rows, sequences and the caller's
mark. No model is instantiated, no signal sent, no `auto_now` touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from django.db import connections, transaction
from django.db.models import Model

from diskette import conf
from diskette.core.exceptions import StagingLost
from diskette.data.intake import Tick
from diskette.data.outcome import Mode
from diskette.data.stage import Staging

Models = Sequence[type[Model]]


def apply(
    stagings: Mapping[Staging, Models],
    *,
    mode: str,
    mark: Callable[[], None] | None,
    tick: Tick,
) -> None:
    """Make the staged rows of the models, in load order, the live ones.

    One transaction per database. `mark` is called last, within the transaction of
    Diskette's own database; that one commits after the others, so that what is marked is
    there, and what is not marked may be applied again. Without a `mark` that database is not
    opened. `tick` counts rows written.

    Raises DatabaseRefused (a constraint unknown to Django, a trigger), StagingLost or
    DatabaseAway: then nothing has changed. Must be called outside of a transaction.
    """
    own = conf.database()
    with ExitStack() as transactions:
        if mark and own not in {staging.database for staging in stagings}:
            transactions.enter_context(transaction.atomic(using=own))
        for staging in sorted(stagings, key=lambda each: (each.database != own, each.database)):
            transactions.enter_context(_applied(staging, stagings[staging], Mode(mode), tick))
        if mark:
            mark()


def put(staging: Staging, models: Models, tick: Tick) -> None:
    """Let the staged rows be those of the models, whatever they refer to.

    For a scratch database alone: nothing is proven. Raises what `apply` raises.
    """
    engine, work = staging.engine, _Work(staging, models, Mode.REPLACE, tick)
    explained, opened = engine.explained(work.table_at_hand), engine.opened(writing=False)
    with explained, opened, engine.applying(models):
        work.do()


@contextmanager
def _applied(staging: Staging, models: Models, mode: Mode, tick: Tick) -> Iterator[None]:
    """A database's transaction, everything done in it, to be committed at the end."""
    _require_no_transaction(staging.database)
    engine, work = staging.engine, _Work(staging, models, mode, tick)
    explained, opened = engine.explained(work.table_at_hand), engine.opened(writing=False)
    with explained, opened, engine.applying(models) as enforce:
        work.do()
        enforce()
        yield


def _require_no_transaction(database: str) -> None:
    if connections[database].in_atomic_block:
        raise transaction.TransactionManagementError(
            f"apply() must begin the transaction of {database} itself: call it outside of atomic()."
        )


class _Work:
    """What is done to one database, table by table."""

    def __init__(self, staging: Staging, models: Models, mode: Mode, tick: Tick) -> None:
        self.engine, self.database = staging.engine, staging.database
        self.models, self.mode, self.tick = models, mode, tick
        self.added = staging.added
        self.table = ""

    def table_at_hand(self) -> str:
        return self.table

    def do(self) -> None:
        gentle = self.engine.cascades_into(self.models)
        promised = {content.model: content.rows for content in self.engine.contents()}
        replaced = [model for model in self.models if not self._merges(model)]
        for model in reversed(replaced):
            self._delete(model, gently=self._name(model) in gentle)
        for model in self.models:
            merge = self._merges(model) or self._name(model) in gentle
            written = sum(self._insert(model, merge=merge))
            if written != (expected := promised.get(model._meta.label)):
                raise StagingLost(self.database, self._name(model), expected or 0, written)
        self.engine.reset_sequences(replaced, lower=True)
        self.engine.reset_sequences(list(filter(self._merges, self.models)), lower=False)

    def _merges(self, model: type[Model]) -> bool:
        return self.mode is Mode.MERGE or model in self.added

    def _name(self, model: type[Model]) -> str:
        self.table = model._meta.db_table
        return self.table

    def _delete(self, model: type[Model], *, gently: bool) -> None:
        """`gently`: only rows that do not come back, where the database would cascade."""
        self._name(model)
        live = self.engine.live(model)
        if not gently:
            self.engine.execute(f"DELETE FROM {live}")
        else:
            keys = self.engine.key_columns(model)
            same = " AND ".join(f"staged.{key} = {live}.{key}" for key in keys)
            staged = f"SELECT 1 FROM {self.engine.staged(model)} AS staged WHERE {same}"
            self.engine.execute(f"DELETE FROM {live} WHERE NOT EXISTS ({staged})")
        self.tick(0)

    def _insert(self, model: type[Model], *, merge: bool) -> Iterator[int]:
        """The rows written, portion by portion."""
        self._name(model)
        write = self.engine.upsert if merge else self.engine.insert
        for portion in self.engine.portions(model):
            rows = write(model, portion)
            self.tick(rows)
            yield rows
