"""Who may load: a message carries no authority, an approved row does, once and for a while.

`engine.create` approves a load for whoever called it: a command, a task or view of the
project's own, the admin. No message gets there by itself.
"""

from __future__ import annotations

from typing import Protocol

import humanize
from django.db.models import QuerySet

from diskette import conf
from diskette.core.exceptions import NotAllowed
from diskette.core.plan import Kind
from diskette.core.report import Finding, Severity
from diskette.models import Now, Run, after


class User(Protocol):
    """What is asked of a user; `request.user` has it, also where nobody is logged in."""

    def get_username(self) -> str: ...

    def has_perm(self, perm: str) -> bool: ...


def require(user: User, kind: Kind) -> str:
    """The name of a user who may start such a run. Raises NotAllowed."""
    permission = f"diskette.{kind}_archive"
    if not user.has_perm(permission):
        raise NotAllowed(user.get_username(), permission)
    return user.get_username()


def approve(run: Run) -> None:
    """Let a load be begun until DISKETTE_LOAD_EXPIRES from now."""
    _row(run).update(approved_at=Now(), expires_at=after(conf.load_expires()))


def use(run: Run) -> bool:
    """Whether a step of the run may be taken; the first one uses the approval up."""
    if run.kind != Kind.LOAD or run.used_at is not None:
        return True
    valid = _row(run).filter(approved_at__isnull=False, used_at=None, expires_at__gt=Now())
    return bool(valid.update(used_at=Now()))


def expired(run: Run) -> Finding | None:
    """Why a load can no longer be begun; None where it can, or has been."""
    if run.kind != Kind.LOAD or run.used_at is not None:
        return None
    if _row(run).filter(approved_at__isnull=False, expires_at__gt=Now()).exists():
        return None
    waited, queue = humanize.naturaldelta(conf.load_expires()), conf.load_queue() or "celery"
    return Finding(
        code="load-expired",
        severity=Severity.ERROR,
        message=f"No worker began this load within {waited}; its approval is over.",
        hint=f"Nothing was changed. Start a worker for the queue {queue} (celery worker -Q {queue})"
        " and start the load again; DISKETTE_LOAD_EXPIRES lets it wait longer.",
    )


def _row(run: Run) -> QuerySet[Run]:
    return Run.objects.using(conf.database()).filter(pk=run.pk)
