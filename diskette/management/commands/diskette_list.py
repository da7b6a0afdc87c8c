"""List the archives in the destination."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import humanize

from diskette import conf
from diskette.core import catalog
from diskette.core.catalog import ArchiveInfo
from diskette.core.report import JSON
from diskette.core.wording import stat_words
from diskette.management.base import DisketteCommand
from diskette.steps import proofs


class Command(DisketteCommand):
    help = "List the archives in the destination, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to look."""
        super().add_arguments(parser)
        parser.add_argument("--destination", type=Path, help="instead of DISKETTE_DUMP_PATH")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print a line for each archive, or one document."""
        destination = options["destination"] or conf.destination()
        found = proofs.known_if_asked(catalog.find(destination))
        if options["format"] == "json":
            self.print_json([shape_of(info) for info in found])
            return
        if not found:
            self.stdout.write(f"No archives in {destination}. `manage.py diskette_dump` makes one.")
        for info in found:
            self.stdout.write(_line(info))


def shape_of(info: ArchiveInfo) -> dict[str, JSON]:
    """One archive, for programs."""
    shape: dict[str, JSON] = {"name": info.path.name, "path": str(info.path), "bytes": info.size}
    if (manifest := info.manifest) is None:
        return shape | {"error": str(info.error)}
    return shape | {
        "label": manifest.label,
        "instant": manifest.instant.isoformat(),
        "purpose": manifest.purpose,
        "run": manifest.run,
        "proven_at": info.proven_at.isoformat() if info.proven_at else None,
        "rows": manifest.rows,
        "files": manifest.files,
        "definitions": [each.name for each in manifest.definitions],
        "storages": [each.name for each in manifest.storages],
        "findings": len(manifest.findings),
    }


def _line(info: ArchiveInfo) -> str:
    size = humanize.naturalsize(info.size)
    if (manifest := info.manifest) is None:
        return f"{info.path.name}  {size}  unreadable: {info.error}"
    holds = ", ".join(stat_words({"rows": manifest.rows, "files": manifest.files}))
    proven = f"  proven {humanize.naturaltime(info.proven_at)}" if info.proven_at else ""
    return f"{info.path.name}  {size}  {holds}{proven}"
