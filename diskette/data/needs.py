"""What chosen models need of models that were not chosen: rows to be added, and no others.

Who loads some of an archive's models wants them whole, and of what they refer to no more
than makes them hold: rows that the database has stay as they are, those that it lacks are
added. Rows that nobody needs but each other, in a circle, are taken for needed.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Model

from diskette.core.report import Finding
from diskette.data import findings, tables
from diskette.data.outcome import Outcome
from diskette.data.tables import AnyReference


def leave_out_known(outcome: Outcome) -> None:
    """Of what is only added, forget the staged rows whose primary key is live."""
    for model in outcome.added:
        staged, live = outcome.engine.staged(model), outcome.engine.live(model)
        keys = outcome.engine.key_columns(model)
        same = " AND ".join(f"{live}.{key} = {staged}.{key}" for key in keys)
        _forget(outcome, model, f"EXISTS (SELECT 1 FROM {live} WHERE {same})")


def leave_out_unneeded(outcome: Outcome) -> list[Finding]:
    """Forget what no row that is loaded refers to; tell what is left to be added."""
    leave_out_known(outcome)
    added = [model for model in reversed(outcome.models) if model in outcome.added]
    while any(_forget(outcome, model, _unneeded(outcome, model)) for model in added):
        continue
    counts = {model: _recount(outcome, model) for model in added}
    return [findings.needed(model, count) for model, count in counts.items() if count]


def _unneeded(outcome: Outcome, model: type[Model]) -> str:
    staged, column = outcome.engine.staged(model), outcome.engine.column
    unneeded = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {outcome.engine.staged(referring)} AS referring"
        f" WHERE referring.{column(reference)} = {staged}.{column(reference.target_field)})"
        for referring, reference in _references(outcome, model)
    )
    return unneeded or "1 = 1"


def _references(outcome: Outcome, model: type[Model]) -> Iterator[tuple[type[Model], AnyReference]]:
    for referring in outcome.models:
        for reference in tables.references(referring):
            if tables.target(reference) is model:
                yield referring, reference


def _forget(outcome: Outcome, model: type[Model], condition: str) -> int:
    return outcome.engine.execute(f"DELETE FROM {outcome.engine.staged(model)} WHERE {condition}")


def _recount(outcome: Outcome, model: type[Model]) -> int:
    """What is left is what the staging now promises."""
    outcome.engine.promise(model)
    return int(outcome.engine.scalar(f"SELECT count(*) FROM {outcome.engine.staged(model)}"))
