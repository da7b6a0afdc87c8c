"""Tell in a line each what every table and file of this site holds."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from worker import comparison
from worker.comparison import Side


class Command(BaseCommand):
    help = "Print a JSON object with a digest for each table and file; equal sites print the same."

    def handle(self, **_: Any) -> None:
        side = Side(database_url=settings.DATABASE_URL, trees={"media": settings.MEDIA_ROOT})
        picture = comparison.picture(comparison.read(side))
        self.stdout.write(json.dumps(picture, indent=1, sort_keys=True))
