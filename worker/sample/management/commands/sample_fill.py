"""Fill this site with the sample's rows and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from worker import comparison
from worker.comparison import Side
from worker.sample import filling


class Command(BaseCommand):
    help = "Fill this empty site with a few thousand rows and a media tree, always the same."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=1, help="another seed, other values")
        parser.add_argument("--scale", type=int, default=1, help="how many times as many rows")

    def handle(self, *, seed: int, scale: int, **_: Any) -> None:
        if User.objects.exists():
            raise CommandError("This site has users already; only an empty one is filled.")
        media = Path(settings.MEDIA_ROOT)
        with transaction.atomic():
            filling.fill(media=media, seed=seed, scale=scale)
        side = Side(database_url=settings.DATABASE_URL, trees={"media": media})
        self.stdout.write(str(comparison.read(side)))
