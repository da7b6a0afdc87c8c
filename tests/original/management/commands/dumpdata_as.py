"""`dumpdata` in the format that the file's ending says.

The original asks for no format, so it writes JSON into `users.xml`, unless a definition has a
`dump_command` of the project's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    def handle(self, *labels: str, **options: Any) -> None:
        options["format"] = Path(options["output"]).suffix[1:]
        super().handle(*labels, **options)
