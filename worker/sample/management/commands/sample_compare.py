"""Compare this site with another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from worker import comparison
from worker.comparison import Side


class Command(BaseCommand):
    help = (
        "Compare this site with another, every value and every byte, by means that have nothing "
        "in common with Diskette. Fails if anything differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("database", help="the other site's database, as a URL")
        parser.add_argument("media", type=Path, help="the other site's media directory")

    def handle(self, *, database: str, media: Path, **_: Any) -> None:
        compared = comparison.compare(
            Side(database_url=settings.DATABASE_URL, trees={"media": settings.MEDIA_ROOT}),
            Side(database_url=database, trees={"media": media}),
        )
        if compared.differences:
            raise CommandError(f"The sites differ:\n{compared}")
        self.stdout.write(f"equal: {compared}")
