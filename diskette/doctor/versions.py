"""An archive of another version of the project: what becomes of it here, said before it is read.

By the manifest alone: migrations say what happened, but fields decide what can be loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import django
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations import Migration

from diskette import conf, registry
from diskette.core.manifest import DefinitionEntry, Manifest, ModelEntry
from diskette.core.report import JSON, Finding, Severity
from diskette.data import tables
from diskette.data.findings import listed, rows
from diskette.data.kinds import kind_of
from diskette.data.past import Past
from diskette.registry import ModelType, history

Pair = tuple[ModelEntry, ModelType | None]
"""What the archive has of a model, and the model here that takes it, if one does."""
OLDER_HINT = (
    "If the load is refused, load into the release of the project that the archive was made "
    "with, and upgrade then."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """An archive and the project that is to load it."""

    manifest: Manifest
    pairs: Sequence[Pair]
    databases: Sequence[str]
    ignored: bool
    """Whether models and fields that are not here are left out."""

    @property
    def applications(self) -> list[str]:
        labels = {entry.model.split(".")[0] for entry, _ in self.pairs}
        return sorted(labels & registry.application_labels())

    @property
    def unknown(self) -> list[str]:
        """Models and fields of the archive that are not here."""
        found = [entry.model for entry, model in self.pairs if model is None and entry.rows]
        for entry, model in self.pairs:
            if model is not None and entry.rows:
                here = {field.name for field in tables.stored_fields(model)}
                found += [f"{entry.model}.{name}" for name in entry.fields if name not in here]
        return found

    @property
    def wanting(self) -> list[str]:
        """Fields here of which the archive has no values, and that cannot do without."""
        return [
            f"{entry.model}.{field.name}"
            for entry, model in self.pairs
            if model is not None and entry.rows
            for field in tables.stored_fields(model)
            if field.name not in entry.fields and not field.primary_key
            if not (field.null or field.has_default() or field.has_db_default())
            if field.get_default() is None
        ]


def meeting(
    manifest: Manifest, definitions: Sequence[DefinitionEntry], *, ignored: bool = False
) -> Meeting:
    """What of the archive is to be loaded, and the project."""
    return Meeting(
        manifest=manifest,
        pairs=[(entry, target(entry)) for each in definitions for entry in each.models],
        databases=sorted({database_of(each) for each in definitions}),
        ignored=ignored,
    )


def target(entry: ModelEntry) -> ModelType | None:
    """The model that an archive's rows go to, if they may go anywhere.

    An archive is input, not truth: it never fills bookkeeping, permissions, or a table that a
    dump would not have read.
    """
    model = registry.find_model(entry.model)
    return model if model is not None and registry.is_dumpable(model) else None


def database_of(definition: DefinitionEntry) -> str:
    """Where a definition's rows go: the database of the same alias, if this project has it."""
    aliases = conf.database_aliases()
    return definition.database if definition.database in aliases else DEFAULT_DB_ALIAS


class Word(StrEnum):
    """What becomes of an archive here, in a word for machines."""

    LOADABLE = "loadable"
    IGNORING = "loadable-ignoring"
    MIGRATE = "migrate-first"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    word: Word
    message: str
    """Completes "The archive is"."""
    hint: str = ""
    differences: tuple[Finding, ...] = ()
    carried: tuple[str, ...] = ()
    """Labels of applications whose rows are carried forward by migrations before they are read."""

    @property
    def findings(self) -> list[Finding]:
        """The verdict first, then what it rests on; nothing where the versions are the same."""
        if not self.differences and self.word is Word.LOADABLE and not self.hint:
            return []
        finding = Finding(
            code="version",
            severity=Severity.INFO if self.word is Word.LOADABLE else Severity.WARNING,
            message=f"The archive is of another version of the project: {self.message}.",
            hint=self.hint,
        )
        return [finding, *self.differences]

    @property
    def is_final(self) -> bool:
        """Whether nothing more can be asked: tables here are not what the models say."""
        return self.word is Word.MIGRATE

    def to_json(self) -> dict[str, JSON]:
        return {
            "verdict": self.word.value,
            "message": self.message,
            "hint": self.hint,
            "findings": [finding.to_json() for finding in self.differences],
        }


def judge(meeting: Meeting, *, may_carry: bool = True) -> Verdict:
    """Asks the databases which migrations were applied; reads nothing of the archive's rows.

    `may_carry`: whether older rows may be carried forward; else they are judged as they are.
    """
    unapplied, migrated = list(_unapplied(meeting)), list(_migrated(meeting))
    if may_carry and migrated and not unapplied and (forward := _forward(meeting)):
        return _carried(meeting, forward, migrated)
    found = (*_unknown_models(meeting), *unapplied, *migrated)
    if unapplied:
        return Verdict(
            word=Word.MIGRATE,
            message=f"migrate to {listed(_latest(unapplied))} first, which this database lacks",
            hint="Run `manage.py migrate`, then load again.",
            differences=found,
        )
    if wanting := meeting.wanting:
        return Verdict(
            word=Word.IMPOSSIBLE,
            message=f"impossible, because the archive has no {listed(wanting)}",
            hint="Load into the release of the project that the archive was made with, and upgrade "
            "then: its migrations say what the new fields are to hold.",
            differences=found,
        )
    if unknown := meeting.unknown:
        return Verdict(
            word=Word.IGNORING,
            message=f"loadable ignoring these {_kinds(unknown)}: {listed(unknown)}",
            hint="" if meeting.ignored else "Load with --ignorenonexistent to leave them out.",
            differences=found,
        )
    return Verdict(
        word=Word.LOADABLE,
        message="loadable, for every field that it has is here",
        hint="Fields that were added since get their defaults." if found else "",
        differences=found,
    )


def _carried(meeting: Meeting, forward: _Forward, migrated: Sequence[Finding]) -> Verdict:
    ways = [f"{each.app_label}.{each.name}" for each in forward.missing]
    return Verdict(
        word=Word.LOADABLE,
        message=f"loadable, carried forward by {listed(ways)}",
        hint="Its rows are put into a scratch database as it was then, migrated there, and loaded "
        "as they come out.",
        differences=(
            *(each for each in _unknown_models(meeting) if each.model not in forward.past.models),
            *(replace(each, severity=Severity.INFO, hint="") for each in migrated),
        ),
        carried=tuple(sorted(forward.labels)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forward:
    """The way from the archive's state to this project's, where it can be gone."""

    labels: frozenset[str]
    past: Past

    @property
    def missing(self) -> list[Migration]:
        return [each for each in self.past.standing.missing if each.app_label in self.labels]


def _forward(meeting: Meeting) -> _Forward | None:
    """None where there is no way, or where it changes nothing of the rows."""
    labels = frozenset(entry.model.split(".")[0] for entry, _ in meeting.pairs)
    labels &= registry.application_labels()
    standing = history.standing(meeting.manifest.migrations, labels)
    unplaced = labels & standing.loader.migrated_apps - meeting.manifest.migrations.keys()
    if standing.unknown or standing.within or unplaced:
        return None
    forward = _Forward(labels=labels, past=Past(standing))
    runs_code = any(map(history.runs_code, forward.missing))
    changed = runs_code or any(_is_changed(*pair, forward.past) for pair in meeting.pairs)
    return forward if forward.missing and changed else None


def _is_changed(entry: ModelEntry, model: ModelType | None, past: Past) -> bool:
    """Whether rows of then would not stand as they are in the table of today."""
    then = past.find(entry.model)
    return then is not None and (model is None or _shape(then) != _shape(model))


def _shape(model: ModelType) -> dict[str, tuple[object, ...]]:
    """What of its fields decides which values they hold."""
    return {
        field.name: (kind_of(field), field.null, getattr(field, "decimal_places", None))
        for field in tables.stored_fields(model)
    }


def surroundings(manifest: Manifest) -> list[str]:
    """Sentences on what is another one here, besides the project: it hinders nothing by itself."""
    there, here = manifest.versions, django.get_version()
    if manifest.is_of_original:
        return [f"It was made by the original Diskette {there.diskette}, which says no more."]
    found = []
    if there.django.split(".")[:2] != here.split(".")[:2]:
        found.append(f"It was made with Django {there.django}; here is {here}.")
    for definition in {each.database: each for each in manifest.definitions}.values():
        engine, alias = there.engines.get(definition.database, ""), database_of(definition)
        if engine and engine.split()[0] != connections[alias].vendor:
            name = connections[alias].display_name
            found.append(
                f"The rows of {definition.database} were {engine}'s; here they go to {name}, "
                "whose limits are checked before anything is written."
            )
    return found


def _latest(unapplied: Iterable[Finding]) -> list[str]:
    return [f"{each.model}.{each.keys[-1]}" for each in unapplied]


def _kinds(unknown: Iterable[str]) -> str:
    """Labels of models have one point, of fields two."""
    points = {name.count(".") for name in unknown}
    return " and ".join(word for word, count in (("models", 1), ("fields", 2)) if count in points)


def _unknown_models(meeting: Meeting) -> Iterator[Finding]:
    for entry, model in meeting.pairs:
        if model is None:
            is_ignored = meeting.ignored or not entry.rows
            yield Finding(
                code="unknown-model",
                severity=Severity.WARNING if is_ignored else Severity.ERROR,
                message=f"{entry.model}: the archive has {rows(entry.rows)} of it, but this "
                "project has no such model" + ("; they are left out." if is_ignored else "."),
                hint="To keep them, install the application that has it."
                + ("" if is_ignored else " Or leave them out: --ignorenonexistent."),
                model=entry.model,
                count=entry.rows,
            )


def _unapplied(meeting: Meeting) -> Iterator[Finding]:
    """Tables here that are not what the models say: rows could be staged for them, not applied."""
    for alias in meeting.databases:
        lacking = registry.unapplied_migrations(alias)
        for label in (each for each in meeting.applications if each in lacking):
            yield Finding(
                code="migration-mismatch",
                severity=Severity.ERROR,
                message=f"{label}: database {alias!r} lacks {listed(lacking[label])}, so its "
                "tables are not what the models say.",
                hint=f"Run `manage.py migrate {label} --database {alias}`, then load again.",
                model=label,
                keys=lacking[label],
            )


def _migrated(meeting: Meeting) -> Iterator[Finding]:
    """Applications whose migrations differ: a warning, for the fields decide what can be loaded."""
    if not meeting.manifest.migrations:
        return  # an archive of the original, which does not say
    here: dict[str, tuple[str, ...]] = {}
    known: dict[str, tuple[str, ...]] = {}
    for alias in meeting.databases:
        here |= registry.migration_leaves(alias)
        known |= registry.migrations_on_disk(alias)
    states = {
        label: (meeting.manifest.migrations.get(label, ()), here.get(label, ()))
        for label in meeting.applications
    }
    differing = {label: each for label, each in states.items() if set(each[0]) != set(each[1])}
    cuts = _cuts(meeting, differing) if differing else {}
    for label, (there, now) in differing.items():
        ahead = [name for name in there if name not in known.get(label, ())]
        yield Finding(
            code="migration-mismatch",
            severity=Severity.WARNING,
            message=f"{label}: the archive was made at {_named(there)}, "
            f"this database is at {_named(now)}.{cuts.get(label, '')}",
            hint=f"Update the code first: install the release of the project that has "
            f"{label}.{ahead[0]} and run `manage.py migrate`, to load all that it has."
            if ahead
            else OLDER_HINT,
            model=label,
        )


def _cuts(meeting: Meeting, labels: Collection[str]) -> dict[str, str]:
    """Per label, why its state cannot be made again, where that is due to squashing."""
    told: dict[str, str] = {}
    within = history.standing(meeting.manifest.migrations, labels).within
    for (app, name), squashed in within.items():
        told[app] = (
            f"{told.get(app, '')} {app}.{name} lies within {squashed}, whose parts are gone."
        )
    return told


def _named(migrations: Iterable[str]) -> str:
    return ", ".join(migrations) or "no migration"
