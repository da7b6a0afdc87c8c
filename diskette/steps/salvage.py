"""What a load takes of a damaged archive, and what it leaves out, when the user says so.

A model is loaded whole or not at all: some of its rows, without those that were lost, would
look like all of them. A storage's files are taken one by one, for each has a digest of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from humanize import intcomma

from diskette import storages
from diskette.core.archive import ArchiveReader, Survey
from diskette.core.checksum import Tick
from diskette.core.exceptions import ForeignArchive
from diskette.core.manifest import ModelEntry, StorageEntry
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


def of_damage(
    reader: ArchiveReader,
    survey: Survey,
    models: Sequence[ModelEntry],
    trees: Sequence[StorageEntry],
) -> Salvage:
    """What of these is left out. Raises ForeignArchive for a manifest that is another's."""
    if reader.is_disowned(survey):
        why = f"its manifest is not the one that SHA256SUMS was made of, {BY_HAND}"
        raise ForeignArchive(reader.name, why)
    models = [each for each in models if each.member.name not in survey.whole]
    trees = [each for each in trees if not _can_be_read(each, survey)]
    found = [replace(each, severity=Severity.WARNING) for each in survey.findings]
    found += [_model_left_out(each.model, each.rows) for each in models]
    found += [_storage_left_out(each) for each in trees]
    return Salvage(
        left_out=(*(each.member.name for each in models), *(each.index.name for each in trees)),
        findings=tuple(found),
    )


def files_lost(
    reader: ArchiveReader, survey: Survey, trees: Iterable[StorageEntry], tick: Tick
) -> Iterator[Finding]:
    """What unpacking these storages would leave out, for those who only ask."""
    for each in trees:
        if each.tree.name not in survey.whole and _can_be_read(each, survey):
            parts = (reader.content(part.name, survey.places) for part in (each.tree, each.index))
            yield from of_files(each, storages.examine(each, *parts, whole=False, tick=tick))


def refused(findings: Sequence[Finding], hint: str) -> list[Finding]:
    """Damage that ends a load, with the cure."""
    return [replace(each, hint=each.hint or hint) for each in findings]


def nothing_whole(findings: Sequence[Finding]) -> list[Finding]:
    """The same, where a salvage would have nothing to load."""
    nothing = Finding(
        code="not-salvaged",
        severity=Severity.ERROR,
        message="Of what is to be loaded, nothing is whole in this archive.",
        hint="Use another archive; docs/by-hand.md shows how to take out of this one what is left.",
    )
    return [*findings, nothing]


def explained(finding: Finding, left_out: Collection[str]) -> Finding:
    """A reference that leads nowhere because its target was left out: what to do about that.

    `left_out`: labels of models.
    """
    if finding.code != "foreignkey-missing" or finding.target not in left_out:
        return finding
    target = finding.target
    hint = (
        f"The rows of {target} in this archive are damaged and left out. Load them from another "
        f"archive first (--no-storages --model {target}), or make those that are named by hand, "
        "with these keys; then salvage again. Or leave out what refers to them: --exclude-data."
    )
    return replace(finding, hint=hint)


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
