"""What a load takes of a damaged archive, and what it leaves out, when the user says so.

A model is loaded whole or not at all: some of its rows, without those that were lost, would
look like all of them. A storage's files are taken one by one, for each has a digest of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from humanize import intcomma

from diskette.core.archive import ArchiveReader, Survey
from diskette.core.exceptions import FindingsError, ForeignArchive
from diskette.core.manifest import StorageEntry
from diskette.core.report import Finding, Severity
from diskette.storages import Loss

BY_HAND = (
    "so that nothing can be salvaged: docs/by-hand.md shows how to take out with `tar` and `zstd` "
    "what is left."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    left_out: tuple[str, ...]
    """Names of members: of models' rows, and of the indices of storages."""
    findings: tuple[Finding, ...]
    """The damage, and what is left out for it; warnings, for the user knows of it."""


def of_damage(reader: ArchiveReader, survey: Survey) -> Salvage:
    """Raises FindingsError where nothing is whole, ForeignArchive for another manifest's."""
    if reader.is_disowned(survey):
        why = f"its manifest is not the one that SHA256SUMS was made of, {BY_HAND}"
        raise ForeignArchive(reader.name, why)
    manifest = reader.manifest
    models = [e for e in manifest.models if e.member.name not in survey.whole]
    trees = [e for e in manifest.storages if not _can_be_read(e, survey)]
    if len(models) == len(manifest.models) and len(trees) == len(manifest.storages):
        raise FindingsError(survey.findings)
    found = [replace(each, severity=Severity.WARNING) for each in survey.findings]
    found += [_model_left_out(entry.model, entry.rows) for entry in models]
    found += [_storage_left_out(entry) for entry in trees]
    return Salvage(
        left_out=(*(e.member.name for e in models), *(e.index.name for e in trees)),
        findings=tuple(found),
    )


def of_files(entry: StorageEntry, loss: Loss) -> Iterator[Finding]:
    """The files that a storage could not be given back."""
    if loss.count:
        yield Finding(
            code="not-salvaged",
            severity=Severity.WARNING,
            message=f"Of storage {entry.name}, {intcomma(loss.count)} of {intcomma(entry.files)} "
            "files are damaged and left out. Those that are here stay as they are.",
            hint="Take them from another archive.",
            keys=tuple(loss.paths),
            count=loss.count,
        )


def _can_be_read(entry: StorageEntry, survey: Survey) -> bool:
    return entry.index.name in survey.whole and entry.tree.name in survey.places


def _model_left_out(label: str, rows: int) -> Finding:
    return Finding(
        code="not-salvaged",
        severity=Severity.WARNING,
        message=f"{label}: its {intcomma(rows)} rows in the archive are damaged and left out. "
        "The rows that are here stay as they are.",
        hint="Load them from another archive: --model.",
        model=label,
        count=rows,
    )


def _storage_left_out(entry: StorageEntry) -> Finding:
    return Finding(
        code="not-salvaged",
        severity=Severity.WARNING,
        message=f"Storage {entry.name}: the list of its {intcomma(entry.files)} files, or all of "
        "them, are damaged, and it is left out. The files that are here stay as they are.",
        hint="Take them from another archive, or by hand (docs/by-hand.md).",
        keys=(entry.name,),
        count=entry.files,
    )
