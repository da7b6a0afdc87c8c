"""Show what an archive holds."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import humanize
import orjson
from django.db import DatabaseError, InterfaceError

from diskette import fetch, original
from diskette.core import catalog
from diskette.core.archive import ArchiveReader
from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import ConfigurationError, UsageError
from diskette.core.manifest import Manifest
from diskette.core.report import JSON, Finding, Severity, worst
from diskette.core.wording import finding_lines, stat_words
from diskette.doctor import closed, versions
from diskette.doctor.versions import Verdict
from diskette.management.base import FINDINGS, DisketteCommand
from diskette.steps import proofs


class Command(DisketteCommand):
    help = "Show what an archive holds: its origin, definitions, models, storages and findings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which archive."""
        super().add_arguments(parser)
        parser.add_argument("archive", help="a path, a name in the destination, or `latest`")
        parser.add_argument(
            "--closed",
            action="store_true",
            help="prove that it loads by itself: every reference of its rows is read and resolved",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the manifest, for people or as it is."""
        if fetch.is_url(options["archive"]):
            raise UsageError("An archive is inspected where it lies: download it first.")
        path = Path(fetch.named(options["archive"]))
        (info,) = proofs.known_if_asked([catalog.read(path)])
        with original.readable(path) as archive:
            with ArchiveReader(archive) as reader:
                manifest = reader.manifest
            found = closed.unresolved(archive, lambda _: None) if options["closed"] else []
        here = None if options["closed"] else _verdict(manifest)
        if options["format"] == "json":
            shape: dict[str, JSON] = {"path": str(path), "bytes": path.stat().st_size}
            shape["proven_at"] = info.proven_at.isoformat() if info.proven_at else None
            shape |= orjson.loads(manifest.to_bytes())
            if here is not None:
                said = here.to_json() if isinstance(here, Verdict) else {"why": here}
                shape["here"] = said | {"differs": versions.surroundings(manifest)}
            if options["closed"]:
                shape["unresolved"] = [finding.to_json() for finding in found]
            self.print_json(shape)
        else:
            last = _proof(found) if here is None else _here(here, manifest)
            self.stdout.write("\n".join((*_lines(info, manifest), *last)))
        if worst(found) is Severity.ERROR:
            self.stop("", FINDINGS)


def _verdict(manifest: Manifest) -> Verdict | str:
    """What becomes of the archive in this project, or why that cannot be said."""
    if not manifest.definitions:
        return "it holds no rows, and files load everywhere"
    try:
        return versions.judge(versions.meeting(manifest, manifest.definitions))
    except (DatabaseError, InterfaceError, ConfigurationError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return f"the database cannot be asked which migrations it has ({first})"


def _here(verdict: Verdict | str, manifest: Manifest) -> Iterator[str]:
    yield from versions.surroundings(manifest)
    if isinstance(verdict, str):
        yield f"No verdict: {verdict}."
        return
    yield f"In this project it is {verdict.message}."
    if verdict.hint:
        yield f"  cure: {verdict.hint}"
    for finding in verdict.differences:
        yield from finding_lines(finding)


def _proof(found: Sequence[Finding]) -> Iterator[str]:
    for finding in found:
        yield from finding_lines(finding)
    if worst(found) is Severity.ERROR:
        yield "Not closed: it needs what the errors above name."
    else:
        yield "Closed: every reference of its rows leads to a row of it, or to what migrate makes."


def _lines(info: ArchiveInfo, manifest: Manifest) -> Iterator[str]:
    versions = manifest.versions
    engines = ", ".join(f"{alias}: {name}" for alias, name in versions.engines.items())
    yield f"{info.name}  {humanize.naturalsize(info.size)}"
    made = f"{manifest.purpose} of {manifest.instant:%Y-%m-%d %H:%M:%S} UTC"
    yield f"{manifest.label}, {made}{f', {manifest.environment}' if manifest.environment else ''}"
    yield f"Diskette {versions.diskette}, Django {versions.django}, Python {versions.python}"
    yield from [engines] if engines else []
    if info.proven_at:
        at = info.proven_at.astimezone(UTC)
        yield f"Proven restorable {at:%Y-%m-%d %H:%M:%S} UTC"
    for definition in manifest.definitions:
        yield f"{definition.name}"
        for entry in definition.models:
            size = humanize.naturalsize(entry.member.bytes)
            yield f"  {entry.model:<40} {humanize.intcomma(entry.rows):>12} rows  {size}"
    for storage in manifest.storages:
        holds = stat_words({"files": storage.files, "bytes": storage.raw_bytes})
        yield f"{storage.name}/  {', '.join(holds)}"
    for finding in manifest.findings:
        yield from finding_lines(finding)
