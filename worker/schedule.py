"""What beat sends: the sweep, and the dump of each night."""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

SWEEP_SECONDS = 60.0
NIGHT = crontab(hour="3", minute="30")
"""Outside of the hours that a change of the clock repeats or leaves out."""
NIGHT_EXPIRES_SECONDS = 6 * 60 * 60
"""Messages pile up while no worker is there; a dump of last night is not wanted at noon."""


def beat_schedule(*, queue: str, night_seconds: str | None) -> dict[str, dict[str, Any]]:
    """The schedule; `night_seconds` makes it night that often, for a demo that cannot wait.

    Two dumps never overlap: the second is refused, recorded as skipped.
    """
    return {
        "diskette-sweep": {
            "task": "diskette.sweep",
            "schedule": SWEEP_SECONDS,
            "options": {"queue": queue, "expires": SWEEP_SECONDS},
        },
        "diskette-nightly-dump": {
            "task": "diskette.dump",
            "schedule": float(night_seconds) if night_seconds else NIGHT,
            "options": {"queue": queue, "expires": NIGHT_EXPIRES_SECONDS},
        },
    }
