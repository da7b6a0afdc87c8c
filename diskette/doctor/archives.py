"""One archive examined to its last byte: what of it is whole, and what can still be had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from humanize import intcomma

from diskette import storages
from diskette.core import catalog
from diskette.core.archive import ArchiveReader, Survey
from diskette.core.catalog import ArchiveInfo
from diskette.core.checksum import Tick, uncounted
from diskette.core.exceptions import ArchiveError, ArchiveNotFound, StorageError
from diskette.core.manifest import ModelEntry, StorageEntry
from diskette.core.report import JSON, Finding, Severity, worst
from diskette.data import proof

BY_HAND = (
    "Fetch it again, or use another archive. docs/by-hand.md shows how to take out with `tar` and "
    "`zstd` what is left."
)
DAMAGED = (
    "Fetch it again, or use another archive. `manage.py diskette_load ARCHIVE --salvage` loads "
    "what is whole of it."
)


class State(StrEnum):
    WHOLE = "whole"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    """Not Diskette's, as far as one can tell."""
    UNPROVEN = "unproven"
    """The original Diskette's, all of it read: nothing speaks against it, and nothing proves it."""
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What can be had of one storage."""

    name: str
    files: int
    """That the manifest promises."""
    lost: int
    """Of those, how many cannot be had."""

    def to_json(self) -> dict[str, JSON]:
        return {"name": self.name, "files": self.files, "lost": self.lost}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one archive."""

    info: ArchiveInfo
    state: State
    findings: tuple[Finding, ...] = ()
    sha256: str = ""
    """Of the file, if it is whole."""
    models: tuple[str, ...] = ()
    """Labels of models that can be had."""
    lost_models: tuple[str, ...] = ()
    storages: tuple[Rest, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        return {
            "name": self.info.name,
            "path": str(self.info.path),
            "bytes": self.info.size,
            "instant": self.info.instant.isoformat(),
            "state": self.state.value,
            "sha256": self.sha256,
            "models": list(self.models),
            "lost_models": list(self.lost_models),
            "storages": [each.to_json() for each in self.storages],
            "findings": [each.to_json() for each in self.findings],
        }


def work(info: ArchiveInfo) -> int:
    """Bytes that examining it will tick: as they lie there, and as they are unpacked."""
    if (manifest := info.manifest) is None:
        return info.size
    rows = sum(each.raw_bytes for each in manifest.models)
    return info.size + rows + sum(each.raw_bytes for each in manifest.storages)


def examine(path: Path, tick: Tick = uncounted) -> Verdict:
    """Read every byte of an archive and check every digest in it; damage hides nothing else.

    Raises ArchiveNotFound, or Stopped by `tick`.
    """
    info = catalog.read(path)
    try:
        with ArchiveReader(path) as reader:
            return _examined(info, reader, tick)
    except ArchiveNotFound:
        return Verdict(info=info, state=State.VANISHED)
    except (ArchiveError, StorageError) as error:
        state = State.FOREIGN if info.is_foreign else State.DAMAGED
        found = Finding(code=error.code, severity=Severity.ERROR, message=str(error), hint=BY_HAND)
        return Verdict(info=info, state=state, findings=(found,))


def _examined(info: ArchiveInfo, reader: ArchiveReader, tick: Tick) -> Verdict:
    manifest, survey = reader.manifest, reader.survey(tick)
    info = replace(info, manifest=manifest, instant=manifest.instant, label=manifest.label)
    labels = {entry.member.name: entry.model for entry in manifest.models}
    found = [_told(each, labels) for each in survey.findings]
    lost = [each.model for each in manifest.models if each.member.name not in survey.whole]
    for entry in manifest.models:
        if entry.model not in lost and (wrong := list(_rows(entry, reader, survey, tick))):
            found += wrong
            lost.append(entry.model)
    rests = []
    for tree in manifest.storages:
        rest, wrong = _files(tree, reader, survey, tick)
        rests.append(rest)
        found += wrong
    return Verdict(
        info=info,
        state=State.DAMAGED if worst(found) is Severity.ERROR else State.WHOLE,
        findings=tuple(found),
        sha256=survey.digest.hex if survey.digest else "",
        models=tuple(each.model for each in manifest.models if each.model not in lost),
        lost_models=tuple(lost),
        storages=tuple(rests),
    )


def _told(finding: Finding, labels: dict[str, str]) -> Finding:
    """With the model whose rows it is about."""
    model = labels.get(str(finding.keys[0])) if len(finding.keys) == 1 else None
    return replace(finding, model=model, hint=finding.hint or DAMAGED)


def _rows(
    entry: ModelEntry, reader: ArchiveReader, survey: Survey, tick: Tick
) -> Iterator[Finding]:
    name = entry.member.name
    try:
        yield from proof.prove(
            entry, lambda: reader.content(name, survey.places), archive=reader.name, tick=tick
        )
    except ArchiveError as error:
        yield Finding(
            code=error.code,
            severity=Severity.ERROR,
            message=str(error),
            hint=proof.CHANGED_HINT,
            model=entry.model,
        )


def _files(
    entry: StorageEntry, reader: ArchiveReader, survey: Survey, tick: Tick
) -> tuple[Rest, list[Finding]]:
    nothing = Rest(name=entry.name, files=entry.files, lost=entry.files)
    if entry.index.name not in survey.whole or entry.tree.name not in survey.places:
        return nothing, []  # the members' own findings have said why
    tree, index = (reader.content(each.name, survey.places) for each in (entry.tree, entry.index))
    try:
        whole = entry.tree.name in survey.whole
        loss = storages.examine(entry, tree, index, whole=whole, tick=tick)
    except ArchiveError as error:
        message = f"{reader.name}: no load takes storage {entry.name}: {error}"
        return nothing, [
            Finding(code=error.code, severity=Severity.ERROR, message=message, hint=DAMAGED)
        ]
    rest = replace(nothing, lost=loss.count)
    return rest, [_lost(reader.name, entry, loss)] if loss.count else []


def _lost(archive: str, entry: StorageEntry, loss: storages.Loss) -> Finding:
    count = f"{intcomma(loss.count)} of {intcomma(entry.files)} files"
    return Finding(
        code="file-lost",
        severity=Severity.ERROR,
        message=f"{archive}: of storage {entry.name}, {count} are damaged or missing.",
        hint=DAMAGED,
        keys=tuple(loss.paths),
        count=loss.count,
    )
