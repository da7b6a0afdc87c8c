"""Print every row of the applications that have a past."""

from __future__ import annotations

import json
from typing import Any

from django.core.management import BaseCommand

from tests.older.picture import picture


class Command(BaseCommand):
    """As JSON."""

    def handle(self, *_: Any, **__: Any) -> None:
        self.stdout.write(json.dumps(picture()))
