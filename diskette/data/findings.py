"""What loading finds wrong, in words: one function per kind of problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import CASCADE, SET_DEFAULT, SET_NULL, ForeignKey, Model
from humanize import intcomma

from diskette.core.manifest import ModelEntry
from diskette.core.report import JSON, Finding, Severity

SAMPLE = 10
"""Of keys and of objects in a finding."""

CONTENT_TYPE = "contenttypes.ContentType"
PERMISSION = "auth.Permission"
DAMAGED_HINT = "The archive is damaged: fetch it again or use another one."
CHANGED_HINT = (
    "Something wrote to the table since, or a trigger changed rows as they were written: stop "
    "what writes to it and load again."
)
STALE_HINT = (
    "Where the archive is made, run `manage.py remove_stale_contenttypes --include-stale-apps`, "
    "which names what it deletes along and asks, and dump again; or install the application here "
    "and run `manage.py migrate`; or load without these links: --drop-stale."
)
MADE_HINT = (
    "Archives carry no permissions. What the project's code made at run time, or somebody by "
    "hand, has to be made here first, with the same codename and content type. For what is left "
    f"of a model that is gone: {STALE_HINT[0].lower()}{STALE_HINT[1:]}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows that share a problem: how many, some of their primary keys, some values."""

    count: int
    keys: tuple[JSON, ...] = ()
    objects: tuple[JSON, ...] = ()


def rows(count: int) -> str:
    return "1 row" if count == 1 else f"{intcomma(count)} rows"


def listed(values: Sequence[JSON], *, limit: int = 5) -> str:
    shown = ", ".join(str(value) for value in values[:limit])
    return f"{shown}, …" if len(values) > limit else shown


def needed(model: type[Model], count: int) -> Finding:
    """Rows of a model that was not chosen, which the chosen ones refer to."""
    label = model._meta.label
    return Finding(
        code="rows-added",
        severity=Severity.INFO,
        message=f"{label}: {rows(count)}, which what is loaded refers to and this database does "
        "not have, will be added from the archive.",
        hint="Nothing has to be done. The rows of this model that are here stay as they are.",
        model=label,
        count=count,
    )


def foreignkey_missing(
    model: type[Model],
    field: str,
    target: type[Model],
    sample: Sample,
    *,
    loaded: bool,
    by_name: bool = False,
) -> Finding:
    """References of the archive to rows that will not be there; `by_name`: by natural key."""
    label, there = model._meta.label, target._meta.label
    where = "not in the archive" if loaded else "neither in the archive nor in this database"
    where += ", or not the only one of this natural key" if by_name else ""
    hint = (
        f"Dump again with every row of {there}: look for rows that its manager or its "
        "definition leaves out. Or correct these rows where the archive is made."
        if loaded
        else f"Include {there} in a definition of DISKETTE_APPS where the archive is made, and "
        "dump again; or load an archive that holds it first."
    )
    return Finding(
        code="foreignkey-missing",
        severity=Severity.ERROR,
        message=f"Integrity error: ForeignKey missing: {label}.{field} refers in "
        f"{rows(sample.count)} to {there} ({listed(sample.keys)}), {where}.",
        hint=hint,
        model=label,
        field=field,
        target=there,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def foreignkey_by_hand(
    model: type[Model], columns: Sequence[str], table: str, sample: Sample
) -> Finding:
    """References that only the database knows, to rows that will not be there."""
    label, named = model._meta.label, ", ".join(columns)
    return Finding(
        code="foreignkey-missing",
        severity=Severity.ERROR,
        message=f"Integrity error: ForeignKey missing: {label} ({named}) refers in "
        f"{rows(sample.count)} to the table {table}, by a foreign key that no model declares, "
        "and the rows referred to will not be there.",
        hint=f"Include the model of {table}, if there is one, in a definition of DISKETTE_APPS "
        "where the archive is made, and dump again; or add these rows here, or drop the foreign "
        "key, and load again.",
        model=label,
        field=named,
        target=table,
        objects=sample.objects,
        count=sample.count,
    )


def keys_not_written(
    model: type[Model], field: str, target: type[Model], sample: Sample
) -> Finding:
    """References by key to rows that the archive has without their keys."""
    label, there = model._meta.label, target._meta.label
    return Finding(
        code="natural-primary",
        severity=Severity.ERROR,
        message=f"{label}.{field} refers in {rows(sample.count)} to {there} by key "
        f"({listed(sample.keys)}), but the archive has {there} without its keys "
        "(natural_primary): nobody can tell which rows are meant.",
        hint=f"Where the archive is made, remove 'natural_primary' from the definition of {there}, "
        f"or set 'natural_foreign': True in that of {label} if {field} is a foreign key; then "
        "dump again.",
        model=label,
        field=field,
        target=there,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def keys_assumed(finding: Finding) -> Finding:
    """The same, where keys were not written by the original: its archives cannot be made anew.

    A row gets the key of the one that has its natural key in the table that is replaced; where
    none has, the next one.
    """
    if finding.code != "natural-primary":
        return finding
    return replace(
        finding,
        severity=Severity.WARNING,
        message=finding.message.replace("nobody can tell", "the archive does not say"),
        hint="Loaded as the original did: a row that is here already keeps its key, others are "
        "numbered in the archive's order. On the site it was made on that is right; elsewhere, "
        "look at these rows after the load.",
    )


def keys_left_out(
    model: type[Model], field: str, target: type[Model], sample: Sample, *, by: str
) -> Finding:
    """Generic references by key to rows that a definition, `by`, writes without their keys."""
    label, there = model._meta.label, target._meta.label
    return Finding(
        code="natural-primary",
        severity=Severity.ERROR,
        message=f"Definition {by!r} writes {there} without its keys (natural_primary), but "
        f"{label}.{field} refers in {rows(sample.count)} to {there} by key "
        f"({listed(sample.keys)}): a load cannot tell which is meant, and refuses.",
        hint=f"Remove 'natural_primary' from {by!r}, then dump again.",
        model=label,
        field=field,
        target=there,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def foreignkey_left_dangling(
    model: type[Model], field: str, target: type[Model], sample: Sample
) -> Finding:
    """References of rows that stay, to rows that the load would take away."""
    label, there = model._meta.label, target._meta.label
    return Finding(
        code="foreignkey-missing",
        severity=Severity.ERROR,
        message=f"Integrity error: ForeignKey missing: {label}.{field} refers in "
        f"{rows(sample.count)}, which stay in the database, to {there} ({listed(sample.keys)}), "
        "which the archive does not hold.",
        hint=f"Include {label} in a definition of DISKETTE_APPS where the archive is made, so that "
        "its rows are replaced too, and dump again; or delete these rows here; or load with "
        "--mode merge.",
        model=label,
        field=field,
        target=there,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def dangling(
    model: type[Model], field: str, target: type[Model], sample: Sample, *, hides: bool
) -> Finding:
    """References to rows that are not dumped, though their model is; `hides`: by its manager."""
    label, there = model._meta.label, target._meta.label
    cure = f"Delete these rows of {label}, or let {field} refer to a row that there is"
    if hides:
        cure = f"Remove 'use_base_manager': False from the definition of {there}"
    return Finding(
        code="foreignkey-missing",
        severity=Severity.ERROR,
        message=f"Integrity error: ForeignKey missing: {label}.{field} refers in "
        f"{rows(sample.count)} to {there} ({listed(sample.keys)}), which "
        f"{'its manager hides' if hides else 'the database does not have'}. A load refuses the "
        "archive.",
        hint=f"{cure}; then dump again.",
        model=label,
        field=field,
        target=there,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def target_left_out(
    model: type[Model], field: str, target: type[Model], sample: Sample, *, why: str
) -> Finding:
    """References to a model of which the archive has no rows."""
    label, there = model._meta.label, target._meta.label
    return Finding(
        code="foreignkey-missing",
        severity=Severity.WARNING,
        message=f"Integrity error: ForeignKey missing: {label}.{field} refers in "
        f"{rows(sample.count)} to {there} ({listed(sample.keys)}), which {why}. A load is refused "
        "wherever those rows are missing.",
        model=label,
        field=field,
        target=there,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def tolerated(finding: Finding) -> Finding:
    """The same where the foreign key has no constraint: the project allows it to dangle."""
    return replace(
        finding,
        severity=Severity.WARNING,
        hint="The field has db_constraint=False, so the rows are loaded as they are.",
    )


def stale_at_source(reference: ForeignKey[Any, Any], sample: Sample, *, database: str) -> Finding:
    """References to content types or permissions of models that this project lost."""
    model, target = reference.model, reference.remote_field.model
    code, things = {
        CONTENT_TYPE: ("stale-contenttype", "content types"),
        PERMISSION: ("stale-permission", "permissions"),
    }[target._meta.label]
    label, named = model._meta.label, listed([".".join(key) for key in sample.keys])
    place = "" if database == DEFAULT_DB_ALIAS else f" --database {database}"
    return Finding(
        code=code,
        severity=Severity.WARNING,
        message=f"{label}.{reference.name} refers in {rows(sample.count)} to {things} of models "
        f"that are no longer installed: {named}. A load is refused wherever these are missing.",
        hint=f"`manage.py remove_stale_contenttypes --include-stale-apps{place}` "
        f"{_loss(reference, sample.count)}. Then dump again; or load with --drop-stale.",
        model=label,
        field=reference.name,
        target=target._meta.label,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def _loss(reference: ForeignKey[Any, Any], count: int) -> str:
    """What the command does to the rows that refer to what it deletes."""
    label, on_delete = reference.model._meta.label, reference.remote_field.on_delete
    if on_delete is CASCADE:
        return f"deletes {rows(count)} of {label}, once it has named them and asked"
    if on_delete in (SET_NULL, SET_DEFAULT):
        return f"keeps {rows(count)} of {label} and empties their {reference.name}"
    return f"can remove these once {rows(count)} of {label} are deleted by hand"


def hidden_rows(model: str, count: int, *, definition: str) -> Finding:
    return Finding(
        code="hidden-rows",
        severity=Severity.WARNING,
        message=f"{model}: its manager hides {rows(count)} that the archive will not have.",
        hint="Remove 'use_base_manager': False from the definition to have every row.",
        definition=definition,
        model=model,
        count=count,
    )


def uncovered(model: type[Model], count: int, *, database: str, excluded_by: str) -> Finding:
    """Rows that no archive has; `excluded_by`: the definition that says so, if one does."""
    label = model._meta.label
    why = f"is excluded by definition {excluded_by!r}" if excluded_by else "is in no definition"
    return Finding(
        code="uncovered-model",
        severity=Severity.INFO if excluded_by else Severity.WARNING,
        message=f"{label} {why}: its {rows(count)} in database {database!r} are in no archive.",
        hint=f"Nothing has to be done if they may be lost; else remove it from 'excludes' of "
        f"{excluded_by!r}."
        if excluded_by
        else f"Add {label!r} to the 'models' of a definition in DISKETTE_APPS, or to its "
        "'excludes' if its rows may be lost.",
        definition=excluded_by or None,
        model=label,
        count=count,
    )


def no_transactions(model: type[Model], *, engine: str, database: str) -> Finding:
    """A table that shows no instant, and that no load can undo."""
    label, table = model._meta.label, model._meta.db_table
    return Finding(
        code="no-transactions",
        severity=Severity.WARNING,
        message=f"{label}: its table {table} in database {database!r} is of the engine {engine}, "
        "which has no transactions: rows written while a dump reads it may be half in the archive.",
        hint=f"ALTER TABLE {table} ENGINE=InnoDB; a load refuses to write to it as it is.",
        model=label,
    )


def shared_natural_keys(
    model: type[Model], sample: Sample, *, definition: str, cure: str
) -> Finding:
    """Rows that references by natural key cannot tell apart."""
    label = model._meta.label
    return Finding(
        code="natural-key",
        severity=Severity.ERROR,
        message=f"{label}: {rows(sample.count)} share their natural key with others "
        f"({listed(sample.keys)}), by which definition {definition!r} writes them: a load cannot "
        "tell which is meant, and refuses.",
        hint=f"{cure}; or make the keys of these rows differ, best by a UniqueConstraint over what "
        f"{label}.natural_key returns. Then dump again.",
        definition=definition,
        model=label,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def dropped(finding: Finding, *, with_row: bool) -> Finding:
    """A stale link that the user chose to lose: the row itself, or what its field held."""
    what = "these rows are left out" if with_row else f"{finding.field} of these rows is emptied"
    return replace(
        finding,
        severity=Severity.WARNING,
        message=f"{finding.message.removesuffix('.')}: {what}.",
        hint="Nothing has to be done; without --drop-stale the load would have been refused.",
    )


def stale(model: type[Model], field: str, target: type[Model], sample: Sample) -> Finding:
    """References to content types or permissions that this project does not have."""
    code, things, hint = {
        CONTENT_TYPE: ("stale-contenttype", "content types", STALE_HINT),
        PERMISSION: ("stale-permission", "permissions", MADE_HINT),
    }[target._meta.label]
    named = [".".join(map(str, key)) if isinstance(key, list) else key for key in sample.keys]
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=f"{model._meta.label}.{field} refers in {rows(sample.count)} to {things} that "
        f"this project does not have: {listed(named)}.",
        hint=hint,
        model=model._meta.label,
        field=field,
        target=target._meta.label,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def unique_conflict(model: type[Model], field: str, sample: Sample, *, merging: bool) -> Finding:
    told = f"share values of {field} that must be unique: {listed(sample.keys)}"
    return _together(model, field, told, sample, merging=merging)


def exclusion_conflict(
    model: type[Model], constraint: str, rule: str, sample: Sample, *, merging: bool
) -> Finding:
    told = f"exclude each other by the constraint {constraint}: {rule}"
    return _together(model, constraint, told, sample, merging=merging)


def _together(
    model: type[Model], field: str, told: str, sample: Sample, *, merging: bool
) -> Finding:
    label = model._meta.label
    where = "the archive and the database together" if merging else "the archive"
    cure = "Correct all but one of them where the archive is made, and dump again"
    return Finding(
        code="unique-conflict",
        severity=Severity.ERROR,
        message=f"{label}: {rows(sample.count)} in {where} {told}.",
        hint=f"{cure}; or do so here; or load with --mode replace." if merging else f"{cure}.",
        model=label,
        field=field,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def null_conflict(model: type[Model], field: str, sample: Sample) -> Finding:
    label = model._meta.label
    return Finding(
        code="null-conflict",
        severity=Severity.ERROR,
        message=f"{label}.{field} is null in {rows(sample.count)}, which it may not be here.",
        hint="Fill it in where the archive is made, and dump again; or load into the release of "
        "the project that the archive was made with, and upgrade then.",
        model=label,
        field=field,
        objects=sample.objects,
        count=sample.count,
    )


def value_out_of_range(
    model: type[Model], field: str, sample: Sample, *, engine: str, why: str
) -> Finding:
    label = model._meta.label
    return Finding(
        code="value-out-of-range",
        severity=Severity.ERROR,
        message=f"{label}.{field} has values in {rows(sample.count)} that {engine} cannot keep "
        f"here ({listed(sample.keys)}): {why}.",
        hint="Correct the values where the archive is made, and dump again; or change the field "
        "here so that it has room for them (migrations).",
        model=label,
        field=field,
        keys=sample.keys,
        objects=sample.objects,
        count=sample.count,
    )


def check_conflict(model: type[Model], constraint: str, sample: Sample) -> Finding:
    label = model._meta.label
    return Finding(
        code="value-out-of-range",
        severity=Severity.ERROR,
        message=f"{label}: the constraint {constraint} does not hold for {rows(sample.count)}.",
        hint="Correct the rows where the archive is made, and dump again; or load into the "
        "release of the project that the archive was made with, and upgrade then.",
        model=label,
        field=constraint,
        objects=sample.objects,
        count=sample.count,
    )


def unjudged(entry: ModelEntry) -> Finding:
    """Rows of the archive whose model is not installed, so that nothing is known of them."""
    return Finding(
        code="unknown-model",
        severity=Severity.ERROR,
        message=f"{entry.model}: the archive has {rows(entry.rows)} of it, but this project has no "
        "such model, so what they refer to is unknown.",
        hint="Inspect the archive with the project that made it.",
        model=entry.model,
        count=entry.rows,
    )


def unknown_field(model: type[Model], field: str, sample: Sample, *, ignored: bool) -> Finding:
    label = model._meta.label
    return Finding(
        code="unknown-field",
        severity=Severity.WARNING if ignored else Severity.ERROR,
        message=f"{label} has no field {field} here, but has it in {rows(sample.count)} of the "
        "archive" + ("; its values are left out." if ignored else "."),
        hint="To keep the values, load into the release of the project that the archive was made "
        "with, and upgrade then." + ("" if ignored else " Or leave them out: --ignorenonexistent."),
        model=label,
        field=field,
        objects=sample.objects,
        count=sample.count,
    )


def differences(entry: ModelEntry, count: int, digest: str, *, where: str) -> list[Finding]:
    """How rows found somewhere differ from those the manifest promises."""
    label, promise = entry.model, "its manifest" if where == "the archive" else "the archive"
    difference = None
    if count != entry.rows:
        message = (
            f"{label} has {rows(count)} in {where}; {promise} promises {intcomma(entry.rows)}."
        )
        code, difference = "row-count-mismatch", abs(count - entry.rows)
    elif digest != entry.digest:
        message = (
            f"{label}: the rows in {where} are not those that {promise} promises (digest "
            f"{digest[:12]}…, promised {entry.digest[:12]}…)."
        )
        code = "digest-mismatch"
    else:
        return []
    return [
        Finding(
            code=code,
            severity=Severity.ERROR,
            message=message,
            hint=DAMAGED_HINT if where == "the archive" else CHANGED_HINT,
            model=label,
            count=difference,
        )
    ]
