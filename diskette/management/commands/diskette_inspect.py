"""Show what an archive holds."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import humanize
import orjson

from diskette import fetch
from diskette.core.archive import ArchiveReader
from diskette.core.exceptions import UsageError
from diskette.core.manifest import Manifest
from diskette.management.base import DisketteCommand
from diskette.management.console import finding_lines, stat_words


class Command(DisketteCommand):
    help = "Show what an archive holds: its origin, definitions, models, storages and findings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which archive."""
        super().add_arguments(parser)
        parser.add_argument("archive", help="a path, a name in the destination, or `latest`")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the manifest, for people or as it is."""
        if fetch.is_url(options["archive"]):
            raise UsageError("An archive is inspected where it lies: download it first.")
        path = Path(fetch.named(options["archive"]))
        with ArchiveReader(path) as reader:
            manifest = reader.manifest
        if options["format"] == "json":
            shape = orjson.loads(manifest.to_bytes())
            self.print_json({"path": str(path), "bytes": path.stat().st_size} | shape)
            return
        for line in _lines(path, manifest):
            self.stdout.write(line)


def _lines(path: Path, manifest: Manifest) -> Iterator[str]:
    versions = manifest.versions
    engines = ", ".join(f"{alias}: {name}" for alias, name in versions.engines.items())
    yield f"{path.name}  {humanize.naturalsize(path.stat().st_size)}"
    yield f"{manifest.label}, {manifest.purpose} of {manifest.instant:%Y-%m-%d %H:%M:%S} UTC"
    yield f"Diskette {versions.diskette}, Django {versions.django}, Python {versions.python}"
    yield from [engines] if engines else []
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
