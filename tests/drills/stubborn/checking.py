"""A check that deletes all that it can reach."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from django.db import connections

from tests.drills.stubborn.models import Note


def harm(database: str, storages: Path) -> None:
    if not Note.objects.filter(name="precious").exists():
        raise ValueError("the note is not there")
    Note.objects.all().delete()
    for alias in connections:
        if alias != database:
            try:
                connections[alias].ensure_connection()
            except Exception:  # noqa: BLE001 - closed, as it should be
                continue
            raise ValueError(f"{alias} can be opened")
    shutil.rmtree(settings.MEDIA_ROOT)
    if any((storages / "media").glob("*")):
        raise ValueError("MEDIA_ROOT is not what was restored")
