"""Rows of an older state of the project carried forward; runs in a process of its own.

On an empty scratch database: the migrations that the archive had gone through, its rows in
the tables as they were then, the rest of the migrations, and the rows that these made of
them, written anew. Foreign keys are not enforced meanwhile: rows may refer to what only the
live database has, and where they lead is asked of the rows that arrive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.models import Model

from diskette import registry
from diskette.core.exceptions import FindingsError, MigrationFailed
from diskette.core.manifest import DefinitionEntry, Manifest, MemberEntry, ModelEntry
from diskette.core.report import JSON, Finding, Severity, worst
from diskette.data import apply, findings, integrity, migrating, tables
from diskette.data.dump import ModelPart, dump_model
from diskette.data.past import Past
from diskette.data.stage import Staging
from diskette.registry import history

Tell = Callable[[int], None]
AnyModel = type[Model]

MANIFEST = "manifest.json"
"""In the directory, beside the members: the archive's, then that of what was carried."""


def carry(
    database: str,
    *,
    names: Sequence[str],
    run: str,
    directory: str,
    labels: Sequence[str],
    ignore_unknown: bool,
    drop_stale: bool,
    tell: Tell,
) -> JSON:
    """Carry the definitions of those names, whose members lie in the directory.

    Leaves the new members there and the new manifest. Returns `findings`, and `renamed`: labels
    of models by the ones that the archive has. Raises MigrationFailed, and FindingsError where
    rows cannot stand in the tables of their own state.
    """
    place = Path(directory)
    manifest = Manifest.from_bytes((place / MANIFEST).read_bytes(), archive="the archive")
    standing = history.standing(manifest.migrations, labels)
    definitions = [each for each in manifest.definitions if each.name in names]
    past = Past(standing)
    _loosen(database)
    _migrate(database, standing.targets, tell, apart=standing.apart)
    told = _put(
        past,
        manifest,
        [entry for each in definitions for entry in each.models],
        Staging(run, database, place),
        ignore_unknown=ignore_unknown,
        drop_stale=drop_stale,
        tell=tell,
    )
    _migrate(database, None, tell, apart=False)
    arrived = _Arrival(past, database, definitions).dumped(place, tell)
    (place / MANIFEST).write_bytes(replace(manifest, definitions=arrived).to_bytes())
    told += _differences(definitions, arrived, past)
    return {"findings": [each.to_json() for each in told], "renamed": past.renamed}


def _loosen(database: str) -> None:
    """Let no foreign key be made or checked. SQLite's stand in its tables, so they are off."""
    connection: Any = connections[database]
    connection.ensure_connection()
    connection.disable_constraint_checking()
    connection.enable_constraint_checking = lambda: None
    connection.check_constraints = lambda _=None: None
    if connection.vendor != "sqlite":
        connection.features.supports_foreign_keys = False


def _migrate(
    database: str, targets: Sequence[tuple[str, str]] | None, tell: Tell, *, apart: bool
) -> None:
    if failed := migrating.migrate(database, targets, tell, apart=apart):
        raise MigrationFailed(database, failed["migration"], failed["why"])


def _put(
    past: Past,
    manifest: Manifest,
    entries: Sequence[ModelEntry],
    staging: Staging,
    *,
    ignore_unknown: bool,
    drop_stale: bool,
    tell: Tell,
) -> list[Finding]:
    """Put the archive's rows into the tables as they were where it was made."""
    place = {label: number for number, label in enumerate(manifest.load_order)}
    known = {entry: model for entry in entries if (model := past.find(entry.model))}
    ordered = sorted(known, key=lambda each: place.get(each.model, len(place)))
    models = [known[entry] for entry in ordered]
    found = [_unknown(each) for each in entries if each not in known and each.rows]
    staging.create(models)
    for entry in ordered:
        member = staging.workspace / entry.member.name
        loaded = staging.load(known[entry], member, entry, ignore_unknown=ignore_unknown, tick=tell)
        found += loaded.findings
    found += integrity.of_rows(staging, models, drop_stale=drop_stale)
    if worst(found) is Severity.ERROR:
        raise FindingsError(found)
    apply.put(staging, models, tell)
    staging.drop()
    return found


def _unknown(entry: ModelEntry) -> Finding:
    return Finding(
        code="unknown-model",
        severity=Severity.ERROR,
        message=f"{entry.model}: the archive has {findings.rows(entry.rows)} of it, but there was "
        "no such model at the migrations that it says it was made at.",
        hint="Load into the release of the project that the archive was made with.",
        model=entry.model,
        count=entry.rows,
    )


@dataclass(frozen=True, slots=True)
class _Arrival:
    """The scratch database after the last migration."""

    past: Past
    database: str
    definitions: Sequence[DefinitionEntry]

    def dumped(self, place: Path, tell: Tell) -> tuple[DefinitionEntry, ...]:
        """The definitions anew, with members of today's models."""
        word = re.sub(r"\W", "_", self.database)
        models: dict[str, list[ModelEntry]] = {each.name: [] for each in self.definitions}
        for number, (model, definition, origin) in enumerate(self._wanted(), 1):
            name = f"data/{number:04}_{word}.{model._meta.label}.jsonl.zst"
            path = place / "arrived" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            part = dump_model(
                model,
                path,
                using=self.database,
                natural_foreign=origin.natural_foreign,
                natural_primary=not origin.primary_key,
                tick=tell,
            )
            if part.rows or self.past.origin(model):
                models[definition.name].append(_entry(part, name))
        return tuple(replace(each, models=tuple(models[each.name])) for each in self.definitions)

    def _wanted(self) -> Iterator[tuple[AnyModel, DefinitionEntry, ModelEntry]]:
        """Each model that has rows to load, the definition that takes it, and how it is written."""
        held = {entry.model: (d, entry) for d in self.definitions for entry in d.models}
        there = tables.names(self.database)
        found = {}
        for model in registry.dumpable_models():
            if model._meta.db_table in there and (place := self._place(model, held)):
                found[model] = place
        for model in registry.load_order(found):
            yield model, *found[model]

    def _place(
        self, model: AnyModel, held: Mapping[str, tuple[DefinitionEntry, ModelEntry]]
    ) -> tuple[DefinitionEntry, ModelEntry] | None:
        """Where a model's rows belong: with those they were made of, or with its application's."""
        if origin := self.past.origin(model):
            return held.get(origin)
        owner = registry.owner_of(model) or model
        if (origin := self.past.origin(owner)) in held:
            definition, entry = held[origin]
            return definition, replace(entry, primary_key=entry.primary_key or "id")
        for label, (definition, entry) in held.items():
            if label.split(".")[0] == model._meta.app_label:
                return definition, replace(entry, primary_key="id")
        return None


def _entry(part: ModelPart, name: str) -> ModelEntry:
    return ModelEntry(
        model=part.model,
        table=part.table,
        member=MemberEntry(name=name, bytes=part.bytes, sha256=part.sha256),
        rows=part.rows,
        raw_bytes=part.raw_bytes,
        digest=part.digest,
        fields=part.fields,
        primary_key=part.primary_key,
        natural_foreign=part.natural_foreign,
    )


def _differences(
    before: Sequence[DefinitionEntry], after: Sequence[DefinitionEntry], past: Past
) -> Iterator[Finding]:
    """What a person would be surprised by: rows that are gone, rows that were none before."""
    made = {entry.model: entry for each in after for entry in each.models}
    kept = {past.renamed.get(entry.model, entry.model) for each in before for entry in each.models}
    for entry in (entry for each in before for entry in each.models):
        if past.renamed.get(entry.model, entry.model) not in made and entry.rows:
            yield _told(
                entry, f"left out with {findings.rows(entry.rows)}: migrations deleted the model"
            )
    for label in sorted(made.keys() - kept):
        told = f"{findings.rows(made[label].rows)} made by migrations, to replace those here"
        yield _told(made[label], told)


def _told(entry: ModelEntry, what: str) -> Finding:
    return Finding(
        code="carried",
        severity=Severity.INFO,
        message=f"{entry.model}: {what}.",
        model=entry.model,
        count=entry.rows,
    )
