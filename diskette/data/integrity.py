"""What would break if the staged rows were applied: found by SQL, all of it, before it is.

Every question is asked about the rows as they will be, so nothing depends on the order of
loading, and cycles are no case of their own. Where a rule is an expression (conditional or
functional constraints), Django compiles it as it did for the live table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from django.db.models import Model

from diskette.core.report import JSON, Finding
from diskette.data import (
    constraints,
    exclusions,
    findings,
    natural,
    needs,
    sampling,
    tables,
    undeclared,
)
from diskette.data.engines.staging import KEYLESS, REFUSED, batches
from diskette.data.findings import SAMPLE, Sample
from diskette.data.kinds import AnyField
from diskette.data.outcome import Mode, Outcome
from diskette.data.stage import Staging
from diskette.data.tables import AnyReference

RULES_AT_ONCE = 500
"""Engines bound how many columns a selection has."""


def check(
    staging: Staging, models: Sequence[type[Model]], *, mode: str, drop_stale: bool = False
) -> list[Finding]:
    """Every problem that applying `models` in this mode would meet.

    `drop_stale`: links to content types and permissions that are not here are forgotten, and
    told as warnings. Resolves natural keys in the staging on the way, and changes nothing live.
    Raises StagingLost where staged rows are gone.
    """
    staging.confirm(models)
    outcome, engine = staging.outcome(models, mode), staging.engine
    with engine.explained(), engine.opened(writing=True), engine.checking():
        needs.leave_out_known(outcome)
        natural.resolve(outcome)
        dropped = _drop_stale(outcome) if drop_stale else []
        added = needs.leave_out_unneeded(outcome)
        return [*dropped, *added, *_problems(outcome)]


def unresolved(
    staging: Staging, models: Sequence[type[Model]], *, beside: Sequence[type[Model]]
) -> list[Finding]:
    """The references that lead out of the archive, where nothing but it is to be had.

    `beside`: the models whose tables are there and empty, but for what `migrate` makes.
    """
    around = tuple(model for model in beside if model not in models)
    outcome = replace(staging.outcome(models, Mode.REPLACE), neighbours=around, alone=True)
    with staging.engine.explained(), staging.engine.opened(writing=True):
        natural.resolve(outcome)
        keyless = _keyless(outcome)
        return [e for model in outcome.models for e in _of_references(outcome, model, keyless)]


def of_rows(
    staging: Staging, models: Sequence[type[Model]], *, drop_stale: bool = False
) -> list[Finding]:
    """What keeps the staged rows from standing in tables of their own, with nothing beside.

    Natural keys are resolved; where raw keys lead is asked elsewhere.
    """
    staging.confirm(models)
    engine = staging.engine
    outcome = Outcome(
        engine=engine, models=tuple(models), neighbours=(), mode=Mode.REPLACE, alone=True
    )
    with engine.explained(), engine.opened(writing=True), engine.checking():
        natural.resolve(outcome)
        found = _drop_stale(outcome) if drop_stale else []
        for model in outcome.models:
            for reference in tables.references(model):
                found += _unnamed(outcome, model, reference)
            found += [*_of_columns(outcome, model), *_of_constraints(outcome, model)]
        return found


def _drop_stale(outcome: Outcome) -> list[Finding]:
    """Forget links that nothing answers to: a field's value, or its row where it must have one.

    What a first attempt dropped and could not tell any more is remembered beside the staging.
    """
    memory = outcome.engine.workspace / f"dropped-{outcome.engine.database}.json"
    told = _remembered(memory)
    stale = list(_stale(outcome))
    told |= {
        (each.model, each.field): each for each in stale if (each.model, each.field) not in told
    }
    partial = memory.with_suffix(".partial")
    partial.write_text(json.dumps([each.to_json() for each in told.values()]))
    partial.replace(memory)
    for model in outcome.models:
        for reference in natural.references_to_migrated(model):
            if (model._meta.label, reference.name) in told:
                _forget(outcome, model, reference)
    return list(told.values())


def _remembered(memory: Path) -> dict[tuple[str | None, str | None], Finding]:
    shapes = json.loads(memory.read_text()) if memory.exists() else []
    return {(each.model, each.field): each for each in map(Finding.from_json, shapes)}


def _stale(outcome: Outcome) -> Iterator[Finding]:
    for model in outcome.models:
        for reference in natural.references_to_migrated(model):
            missing = _unanswered(outcome, model, reference)
            if sample := _sample(outcome, model, reference, *missing):
                referred = tables.concrete(reference.remote_field.model)
                finding = findings.stale(model, reference.name, referred, sample)
                yield findings.dropped(finding, with_row=not reference.null)


def _forget(outcome: Outcome, model: type[Model], reference: AnyReference) -> None:
    engine = outcome.engine
    staged, named = engine.staged(model), engine.natural(model, reference)
    stale = f"{named} IS NOT NULL AND {engine.column(reference)} IS NULL"
    if reference.null:
        engine.execute(f"UPDATE {staged} SET {named} = NULL WHERE {stale}")
    else:
        engine.execute(f"DELETE FROM {staged} WHERE {stale}")
        engine.promise(model)


def _problems(outcome: Outcome) -> Iterator[Finding]:
    keyless = _keyless(outcome)
    for model in outcome.models:
        yield from _of_references(outcome, model, keyless)
        yield from _of_undeclared_references(outcome, model)
        yield from _of_columns(outcome, model)
        yield from _of_constraints(outcome, model)
    for model in _staying(outcome):
        yield from _left_dangling(outcome, model)


def _keyless(outcome: Outcome) -> Sequence[type[Model]]:
    """Models of which the archive has rows without their keys, which got new ones."""
    named = (model for model in outcome.models if hasattr(model, "natural_key"))
    return [model for model in named if outcome.engine.scalar(_count_keyless(outcome, model))]


def _count_keyless(outcome: Outcome, model: type[Model]) -> str:
    return f"SELECT count(*) FROM {outcome.engine.staged(model)} WHERE {KEYLESS} = 1"


def _of_references(
    outcome: Outcome, model: type[Model], keyless: Sequence[type[Model]]
) -> Iterator[Finding]:
    """Staged rows that refer to what will not be there."""
    yield from _by_generic_key(outcome, model, keyless)
    for reference in tables.references(model):
        yield from _unnamed(outcome, model, reference)
        referred = tables.target(reference)
        if not outcome.has(referred):
            continue
        if referred in keyless and (sample := _by_key(outcome, model, reference)):
            yield findings.keys_not_written(model, reference.name, referred, sample)
            continue
        missing = (
            f"FROM {outcome.engine.staged(model)} AS referring WHERE {_dangles(outcome, reference)}"
        )
        if sample := _sample(outcome, model, reference, missing):
            loaded = outcome.alone or outcome.loads(referred)
            finding = findings.foreignkey_missing(
                model, reference.name, referred, sample, loaded=loaded
            )
            yield finding if tables.is_enforced(reference) else findings.tolerated(finding)


def _of_undeclared_references(outcome: Outcome, model: type[Model]) -> Iterator[Finding]:
    """The same of foreign keys made by hand, perhaps to a table that no model has."""
    engine = outcome.engine
    by_table = {each._meta.db_table: each for each in (*outcome.models, *outcome.neighbours)}
    for reference in undeclared.references(model, engine.connection):
        referred = by_table.get(reference.table)
        there = outcome.source(referred) if referred else engine.quoted(reference.table)
        columns = [f"referring.{engine.quoted(each)}" for each in reference.columns]
        others = [f"referred.{engine.quoted(each)}" for each in reference.referred]
        given = " AND ".join(f"{column} IS NOT NULL" for column in columns)
        same = " AND ".join(f"{a} = {b}" for a, b in zip(columns, others, strict=True))
        missing = (
            f"FROM {engine.staged(model)} AS referring WHERE {given}"
            f" AND NOT EXISTS (SELECT 1 FROM {there} AS referred WHERE {same})"
        )
        if count := engine.scalar(f"SELECT count(*) {missing}"):
            sample = Sample(count=count, objects=_objects(outcome, model, missing))
            yield findings.foreignkey_by_hand(model, reference.columns, reference.table, sample)


def _by_key(outcome: Outcome, model: type[Model], reference: AnyReference) -> Sample | None:
    """The rows that say by primary key, and not by natural key, what they refer to."""
    if not reference.target_field.primary_key:
        return None
    engine = outcome.engine
    rows = f"FROM {engine.staged(model)} AS referring WHERE {engine.column(reference)} IS NOT NULL"
    if reference in tables.natural_references(model):
        rows += f" AND {engine.natural(model, reference)} IS NULL"
    return _sample(outcome, model, reference, rows)


def _by_generic_key(
    outcome: Outcome, model: type[Model], keyless: Sequence[type[Model]]
) -> Iterator[Finding]:
    """The same of generic foreign keys, which know no other way."""
    engine = outcome.engine
    for generic in tables.generic_references(model):
        for referred in keyless:
            rows = (
                f"FROM {engine.staged(model)} AS referring WHERE {engine.column(generic.kind)}"
                f" = {generic.kind_of(referred, engine.database)}"
                f" AND {engine.column(generic.key)} IS NOT NULL"
            )
            if sample := _sample(outcome, model, generic.key, rows):
                yield findings.keys_not_written(model, generic.name, referred, sample)


def _unnamed(outcome: Outcome, model: type[Model], reference: AnyReference) -> Iterator[Finding]:
    """Natural keys that nothing answers to."""
    referred = tables.concrete(reference.remote_field.model)
    if reference not in tables.natural_references(model):
        return
    missing, named = _unanswered(outcome, model, reference)
    sample = _sample(outcome, model, reference, missing, named)
    if sample and referred._meta.label in natural.NEVER_LOADED:
        yield findings.stale(model, reference.name, referred, sample)
    elif sample:
        loaded = outcome.alone or outcome.loads(referred)
        yield findings.foreignkey_missing(
            model, reference.name, referred, sample, loaded=loaded, by_name=True
        )


def _unanswered(outcome: Outcome, model: type[Model], reference: AnyReference) -> tuple[str, str]:
    """The rows whose natural key stands for no row, and that key."""
    engine = outcome.engine
    named = f"referring.{engine.natural(model, reference)}"
    rows = (
        f"FROM {engine.staged(model)} AS referring"
        f" WHERE {named} IS NOT NULL AND referring.{engine.column(reference)} IS NULL"
    )
    return rows, named


def _left_dangling(outcome: Outcome, model: type[Model]) -> Iterator[Finding]:
    """Live rows that stay, and now refer to a live row that will be gone.

    What dangles already is not this load's doing.
    """
    for reference in tables.references(model):
        referred = tables.target(reference)
        if not outcome.loads(referred) or not tables.is_enforced(reference):
            continue
        if outcome.merges(referred) and reference.target_field.primary_key:
            continue
        missing = (
            f"FROM ({outcome.kept(model)}) AS referring WHERE {_dangles(outcome, reference)}"
            f" AND EXISTS (SELECT 1 FROM {outcome.engine.live(referred)} AS referred"
            f" WHERE {_refers(outcome, reference)})"
        )
        if sample := _sample(outcome, model, reference, missing):
            yield findings.foreignkey_left_dangling(model, reference.name, referred, sample)


def _dangles(outcome: Outcome, reference: AnyReference) -> str:
    there = outcome.source(tables.target(reference))
    column = outcome.engine.column(reference)
    return (
        f"referring.{column} IS NOT NULL AND NOT EXISTS"
        f" (SELECT 1 FROM {there} AS referred WHERE {_refers(outcome, reference)})"
    )


def _refers(outcome: Outcome, reference: AnyReference) -> str:
    name = outcome.engine.column
    return f"referred.{name(reference.target_field)} = referring.{name(reference)}"


def _staying(outcome: Outcome) -> Iterator[type[Model]]:
    """Models with live rows that the load leaves in place."""
    yield from (model for model in outcome.neighbours if model._meta.managed)
    yield from filter(outcome.merges, outcome.models)


def _sample(
    outcome: Outcome, model: type[Model], of: AnyField, rows: str, key: str = ""
) -> Sample | None:
    return sampling.sample(outcome.engine.connection, model, of, rows, key=key)


def _objects(outcome: Outcome, model: type[Model], rows: str) -> tuple[JSON, ...]:
    return sampling.primary_keys(outcome.engine.connection, model, rows)


def _of_columns(outcome: Outcome, model: type[Model]) -> Iterator[Finding]:
    """Nulls where none may be, and values that a column's own check refuses."""
    staged = outcome.engine.staged(model)
    filled = set(undeclared.not_null(model, outcome.engine.connection))
    rules = [
        rule
        for field in tables.stored_fields(model)
        for rule in _of_column(outcome, model, field, is_filled=field in filled)
    ]
    for rule, rows in _broken(outcome, staged, rules):
        if sample := _sample(outcome, model, rule.field, rows):
            yield rule.finding(sample)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What no row may be, in SQL over `referring`, and how it is told."""

    condition: str
    field: AnyField
    finding: Callable[[Sample], Finding]


def _of_column(
    outcome: Outcome, model: type[Model], field: AnyField, *, is_filled: bool
) -> Iterator[_Rule]:
    """`is_filled`: the column is NOT NULL, whatever the model says."""
    engine = outcome.engine
    if not field.null or field.primary_key or is_filled:
        yield _Rule(
            condition=f"referring.{engine.column(field)} IS NULL"
            f" AND {_is_told_nowhere(outcome, model, field)}",
            field=field,
            finding=lambda sample: findings.null_conflict(
                model, field.name, replace(sample, keys=())
            ),
        )
    if condition := field.db_check(engine.connection):
        yield _Rule(
            condition=f"NOT ({condition})",
            field=field,
            finding=lambda sample: findings.value_out_of_range(
                model,
                field.name,
                sample,
                engine=engine.connection.display_name,
                why=f"the column must hold {condition}",
            ),
        )


def _broken(outcome: Outcome, table: str, rules: Sequence[_Rule]) -> Iterator[tuple[_Rule, str]]:
    """The rules that rows break, and those rows: one reading of the table for all of them."""
    for some in batches(rules, RULES_AT_ONCE):
        counts = ", ".join(f"count(CASE WHEN {rule.condition} THEN 1 END)" for rule in some)
        (found,) = outcome.engine.query(f"SELECT {counts} FROM {table} AS referring")
        for rule, count in zip(some, found, strict=True):
            if count:
                yield rule, f"FROM {table} AS referring WHERE {rule.condition}"


def _is_told_nowhere(outcome: Outcome, model: type[Model], field: AnyField) -> str:
    """That a null is the archive's own: not a value refused, not a natural key unanswered."""
    column = tables.column_name(field).replace("'", "''")
    told = f"(',' || coalesce(referring.{REFUSED}, '') || ',') NOT LIKE '%,{column},%'"
    if field not in tables.natural_references(model):
        return told
    return f"{told} AND referring.{outcome.engine.natural(model, field)} IS NULL"


def _of_constraints(outcome: Outcome, model: type[Model]) -> Iterator[Finding]:
    """Rows that break what the model declares, in the table as it will be."""
    connection, merging = outcome.engine.connection, outcome.merges(model)
    by_hand = undeclared.unique(model, connection)
    for unique in (*constraints.unique(model, connection), *by_hand):
        if sample := _shared(outcome, model, unique):
            yield findings.unique_conflict(model, unique.name, sample, merging=merging)
    checks_by_hand = undeclared.checks(model, connection)
    for check in (*constraints.checks(model, connection), *checks_by_hand):
        rows = f"FROM ({outcome.staged(model)}) AS referring WHERE NOT {check.condition}"
        if count := outcome.engine.scalar(f"SELECT count(*) {rows}"):
            sample = Sample(count=count, objects=_objects(outcome, model, rows))
            yield findings.check_conflict(model, check.name, sample)
    for each in exclusions.exclusions(model, connection):
        if found := exclusions.broken(outcome, model, each):
            yield findings.exclusion_conflict(model, each.name, each.told, found, merging=merging)


def _shared(outcome: Outcome, model: type[Model], unique: constraints.Unique) -> Sample | None:
    """The rows of a table, as it will be, that share values; None: there are none."""
    engine, values = outcome.engine, ", ".join(unique.values)
    conditions = " AND ".join(unique.conditions) or "1 = 1"
    rows = f"FROM {outcome.source(model)} AS referring WHERE {conditions}"
    groups = f"{rows} GROUP BY {values} HAVING count(*) > 1"
    count = engine.scalar(
        f"SELECT coalesce(sum(shared), 0) FROM (SELECT count(*) AS shared {groups}) AS counted"
    )
    if not count:
        return None
    keys = engine.query(f"SELECT {values} {groups} ORDER BY 1 LIMIT {SAMPLE}")
    counted = f"SELECT referring.*, count(*) OVER (PARTITION BY {values}) AS shared {rows}"
    alike = f"FROM ({counted}) AS referring WHERE referring.shared > 1"
    return Sample(
        count=int(count),
        keys=tuple(unique.shown(row, engine.connection) for row in keys),
        objects=_objects(outcome, model, alike),
    )
