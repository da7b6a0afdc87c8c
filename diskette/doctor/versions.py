"""An archive of another version of the project: what becomes of it here, said before it is read.

By the manifest alone: migrations say what happened, but fields decide what can be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from diskette import registry
from diskette.core.manifest import Manifest, ModelEntry
from diskette.core.report import Finding, Severity
from diskette.data import tables
from diskette.data.findings import listed, rows
from diskette.registry import ModelType

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
        return sorted({entry.model.split(".")[0] for entry, model in self.pairs if model})

    @property
    def unknown(self) -> list[str]:
        """Models and fields of the archive that are not here."""
        found = [entry.model for entry, model in self.pairs if model is None]
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


def of_versions(meeting: Meeting) -> list[Finding]:
    """What differs, and the verdict first. An error among them: nothing can be staged."""
    differences = [
        *_unknown_models(meeting),
        *_unapplied(meeting),
        *_migrated(meeting),
    ]
    return [*_verdict(meeting, differences), *differences]


def _verdict(meeting: Meeting, differences: Sequence[Finding]) -> Iterator[Finding]:
    unknown, wanting = meeting.unknown, meeting.wanting
    behind = [f.model for f in differences if f.code == "migration-mismatch" and f.keys]
    if not (differences or unknown or wanting):
        return
    if behind:
        named = listed(behind)
        word, severity = f"migrate first: this database lacks migrations of {named}", "warning"
        hint = "Run `manage.py migrate`, then load again."
    elif wanting:
        word, severity = f"impossible, because the archive has no {listed(wanting)}", "warning"
        hint = (
            "Load into the release of the project that the archive was made with, and upgrade "
            "then: its migrations say what the new fields are to hold."
        )
    elif unknown:
        word, severity = f"loadable without {listed(unknown)}", "warning"
        hint = "" if meeting.ignored else "Load with --ignorenonexistent to leave them out."
    else:
        word, severity = "loadable: every field that it has is here", "info"
        hint = "Fields that were added since get their defaults."
    yield Finding(
        code="version",
        severity=Severity(severity),
        message=f"The archive is of another version of the project. It is {word}.",
        hint=hint,
    )


def _unknown_models(meeting: Meeting) -> Iterator[Finding]:
    for entry, model in meeting.pairs:
        if model is None:
            yield Finding(
                code="unknown-model",
                severity=Severity.WARNING if meeting.ignored else Severity.ERROR,
                message=f"{entry.model}: the archive has {rows(entry.rows)} of it, but this "
                "project has no such model" + ("; they are left out." if meeting.ignored else "."),
                hint="To keep them, install the application that has it."
                + ("" if meeting.ignored else " Or leave them out: --ignorenonexistent."),
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
    for label in meeting.applications:
        there, now = meeting.manifest.migrations.get(label, ()), here.get(label, ())
        if set(there) == set(now):
            continue
        ahead = [name for name in there if name not in known.get(label, ())]
        yield Finding(
            code="migration-mismatch",
            severity=Severity.WARNING,
            message=f"{label}: the archive was made at {_named(there)}, "
            f"this database is at {_named(now)}.",
            hint=f"Install the release of the project that has {label}.{ahead[0]} and run "
            "`manage.py migrate`, to load all that it has."
            if ahead
            else OLDER_HINT,
            model=label,
        )


def _named(migrations: Iterable[str]) -> str:
    return ", ".join(migrations) or "no migration"
