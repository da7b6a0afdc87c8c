"""Databases of a project's own choice."""

from __future__ import annotations

from typing import Any


class EggsElsewhere:
    """Keeps eggs in another database, and gifts in one that nobody may migrate."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "postgresql" if model.__name__ == "Egg" else None

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        if app_label == "gifts":
            return False
        return (db == "postgresql") == (model_name == "egg") if app_label == "kiosk" else None
