"""Applies what another process staged, and dies where it is told to.

Run as `python -m tests.data.apply_staged JSON`: a process of its own, so that it can be
killed by no one's leave.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main(words: dict[str, Any]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    from django.conf import settings

    alias = words["alias"]
    entry = {"ENGINE": words["engine"], **words["place"]}
    settings.DATABASES = {"default": entry, alias: entry}
    settings.DISKETTE_DATABASE = alias
    import django

    django.setup()
    from django.apps import apps
    from django.db import connections

    from diskette.data.apply import apply
    from diskette.data.stage import Staging

    models = [apps.get_model(label) for label in words["models"]]
    staging = Staging(words["run"], alias, Path(words["directory"]))
    with connections[alias].execute_wrapper(_Killer(words.get("kill_at", 0))):
        apply({staging: models}, mode=words["mode"], mark=lambda: _mark(alias), tick=_tick)
    if words.get("kill_after"):
        os.kill(os.getpid(), signal.SIGKILL)


def _mark(alias: str) -> None:
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 'mark'")


def _tick(_: int) -> None:
    """Counts for nobody."""


class _Killer:
    """Kills its process before the nth statement."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
