"""Dump this project's data and media into one archive."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

import humanize

from diskette.core.report import Finding
from diskette.core.wording import finding_lines, stat_words
from diskette.management.base import DisketteCommand
from diskette.runs import check_dump, start_dump


class Command(DisketteCommand):
    help = (
        "Dump the data of the defined applications and the storages into one archive. "
        "The last line of standard output is the archive's path."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options of a dump."""
        super().add_arguments(parser)
        add = parser.add_argument
        add("--app", action="append", default=[], metavar="NAME", help="only this definition")
        add("--no-data", action="store_true", help="leave the applications out")
        add("--no-storages", action="store_true", help="leave the media out")
        add("--label", help="the archive's first word; the project's name otherwise")
        add("--destination", help="the directory for the archive, instead of DISKETTE_DUMP_PATH")
        add("--filename", help="the archive's name, instead of label and instant")
        add("--check", action="store_true", help="say what would be dumped; write nothing")
        self.add_enqueue(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        """Dump, or say what would be dumped."""
        chosen = {
            "applications": options["app"],
            "data": not options["no_data"],
            "storages": not options["no_storages"],
            "label": options["label"],
            "destination": options["destination"],
            "filename": options["filename"],
        }
        if options["check"]:
            self._check(chosen, options)
            return
        self.start(options, lambda **common: start_dump(**chosen, **common))

    def _check(self, chosen: dict[str, Any], options: dict[str, Any]) -> None:
        shape = check_dump(**chosen)
        if options["format"] == "json":
            self.print_json(shape)
            return
        for line in _lines(shape):
            self.stdout.write(line)


def _lines(shape: dict[str, Any]) -> Iterator[str]:
    for each in shape["definitions"]:
        counts = {"models": len(each["models"]), "rows": each["rows"], "bytes": each["bytes"]}
        models, rows, size = stat_words(counts)
        yield f"{each['name']}: {models}, about {rows}, {size} on disk"
    for each in shape["storages"]:
        holds = stat_words({"files": each["files"], "bytes": each["bytes"]})
        yield f"{each['name']}/: {', '.join(holds)}"
    for each in shape["needs"]:
        size = humanize.naturalsize(each["bytes"])
        yield f"needs {size} in {each['directory']} for {each['why']}"
    for finding in shape["findings"]:
        yield from finding_lines(Finding.from_json(finding))
