"""An archive of the original Diskette examined: what is right with it, and what nobody can prove.

It has one checksum, gzip's own, over all that it holds. It has no digests and no counts, so all
that can be told is whether it was read to its end as what it says it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from diskette import original
from diskette.core import catalog
from diskette.core.catalog import ArchiveInfo
from diskette.core.checksum import Tick, blake2b_of, uncounted
from diskette.core.exceptions import ArchiveError, UnsupportedFormat
from diskette.core.report import Finding, Severity
from diskette.doctor.archives import Rest, State, Verdict

READINGS = 3
"""It is unpacked, converted, and digested."""
CURE = "Use another archive. Nothing of one that is compressed as a whole can be had behind damage."


def work(info: ArchiveInfo) -> int:
    """Bytes that examining it will tick."""
    return READINGS * info.size


def examine(path: Path, tick: Tick = uncounted) -> Verdict:
    """Read it to its end, each row and each file of it, as a load would.

    Raises ArchiveNotFound, StorageError or InsufficientSpace where there is no room for that,
    Stopped by `tick`.
    """
    info = catalog.read(path)
    try:
        with original.converted(path, tick) as made:
            return _unproven(info, made, blake2b_of(path, tick))
    except UnsupportedFormat as error:
        return _refused(info, State.FOREIGN, error, "")
    except ArchiveError as error:
        return _refused(info, State.DAMAGED, error, CURE)


def _refused(info: ArchiveInfo, state: State, error: ArchiveError, hint: str) -> Verdict:
    told = Finding(code=error.code, severity=Severity.ERROR, message=str(error), hint=hint)
    return Verdict(info=info, state=state, findings=(told,))


def _unproven(info: ArchiveInfo, made: original.Converted, blake2b: str) -> Verdict:
    manifest = made.manifest
    told = _told(info.name, manifest.versions.diskette, blake2b)
    return Verdict(
        info=replace(info, manifest=manifest, instant=manifest.instant),
        state=State.UNPROVEN,
        findings=(*made.findings, told),
        models=tuple(entry.model for entry in manifest.models),
        storages=tuple(Rest(name=e.name, files=e.files, lost=0) for e in manifest.storages),
    )


def _told(name: str, version: str, blake2b: str) -> Finding:
    return Finding(
        code="original-unproven",
        severity=Severity.INFO,
        message=f"{name} is one of the original Diskette {version}. All of it can be read, and "
        "gzip's checksum is right. It holds no digests and no counts, so nobody can prove that it "
        f"is what was dumped, or all of it. Its BLAKE2b is {blake2b}.",
        hint="Compare that with what the original printed as it dumped. Try it without writing: "
        f"`manage.py diskette_load {name} --check`, or restore it beside what is live: "
        f"`manage.py diskette_verify --drill {name}`.",
        keys=(blake2b,),
    )
