"""Every error Diskette raises, in the user's words.

DisketteError
├── ConfigurationError        settings or definitions are wrong; all problems at once
├── UsageError                an option or argument cannot be obeyed
├── NotAllowed                a user lacks the permission for it
├── RunConflict               another run of this project is active
├── RunFailed                 what a failed run raises from its handle and its result
├── RunCancelled              what a cancelled run raises likewise
├── BrokerUnreachable         tasks cannot be sent
├── InsufficientSpace         a filesystem has too little room
├── ArchiveError              the archive is not what it says
│   ├── ArchiveNotFound
│   ├── ForeignArchive        not made by Diskette, or damaged
│   │   └── CutOff            it ends in the middle
│   ├── UnsupportedFormat     made by a newer Diskette
│   ├── ChecksumMismatch      a member is not the one promised
│   ├── MemberMissing
│   └── UnsafeMember          a member would land outside its place
├── FindingsError             integrity problems; carries the findings
├── StorageError              a directory of files cannot be read or written
├── DatabaseRefused           a database will not take rows, for a reason of its own
├── ScratchRefused            no database can be made beside a live one
├── MigrationFailed           a migration failed, on a scratch database
├── DrillFailed               the project's own check refused what a drill restored
├── StagingLost               rows that were staged are gone before they were applied
└── TemporaryError            worth another attempt: a server away, a deadlock
    ├── SnapshotLost          the database's instant is gone: data parts anew
    └── DatabaseAway

Stopped is not an error: it unwinds a step whose run was cancelled or whose lease is lost.

Fields are positional and plain, so that an error survives JSON (see diskette.results).
A message names the thing, the cause and the cure, in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import humanize

if TYPE_CHECKING:
    from diskette.core.report import Finding


class DisketteError(Exception):
    """Anything Diskette refuses or gives up on."""

    code = "unexpected"
    """The finding as which it appears in a report; each kind that is raised has its own."""


class ConfigurationError(DisketteError):
    """Settings or definitions are wrong. Takes every problem found, not the first one."""

    code = "configuration"

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class UsageError(DisketteError):
    """An option or an argument cannot be obeyed."""

    code = "usage"


class NotAllowed(DisketteError):
    """A user lacks a permission, such as `diskette.load_archive`."""

    code = "not-allowed"

    def __init__(self, user: str, permission: str) -> None:
        super().__init__(user, permission)
        self.user, self.permission = user, permission

    def __str__(self) -> str:
        return (
            f"{self.user or 'Nobody in particular'} may not do that: the permission "
            f"{self.permission} is missing. Whoever manages users can grant it."
        )


class RunConflict(DisketteError):
    """Another run holds this project's lock; `run` is the one that was recorded as skipped."""

    code = "run-active"

    def __init__(self, holder: str, kind: str, since: str = "", run: str = "") -> None:
        super().__init__(holder, kind, since, run)
        self.holder, self.kind, self.since, self.run = holder, kind, since, run

    def __str__(self) -> str:
        started = f", started {self.since}" if self.since else ""
        return (
            f"Another run is active: {self.kind} {self.holder}{started}. Wait for it "
            f"(diskette_status {self.holder} --follow) or stop it (diskette_cancel {self.holder})."
        )


class RunFailed(DisketteError):
    """A run ended without its result. Takes the run's id and the first line of why."""

    code = "run-failed"

    def __init__(self, run: str, why: str) -> None:
        super().__init__(run, why)
        self.run, self.why = run, why

    def __str__(self) -> str:
        return f"Run {self.run} failed: {self.why}"


class RunCancelled(DisketteError):
    """A run was cancelled before it was done."""

    code = "run-cancelled"

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run

    def __str__(self) -> str:
        return f"Run {self.run} was cancelled; nothing it had begun was kept."


class BrokerUnreachable(DisketteError):
    """No task can be sent."""

    code = "broker-unreachable"

    def __init__(self, broker: str, why: str) -> None:
        super().__init__(broker, why)
        self.broker, self.why = broker, why

    def __str__(self) -> str:
        return (
            f"The broker at {self.broker} cannot be reached: {self.why.rstrip('.')}. Start it, "
            "correct CELERY_BROKER_URL, or leave --enqueue out to run in this process."
        )


class InsufficientSpace(DisketteError):
    """A filesystem has too little room. Sizes in bytes; `why` says what they are for.

    `needed` is 0 where a disk filled up in the middle, and nobody knows how much more it took.
    """

    code = "no-space"

    def __init__(self, directory: str, needed: int, free: int, why: str = "") -> None:
        super().__init__(directory, needed, free, why)
        self.directory, self.needed, self.free, self.why = directory, needed, free, why

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        free = f"{humanize.naturalsize(self.free)} free"
        if self.needed > 0:
            size = humanize.naturalsize(self.needed)
            needs = f"The run needs {size} in {self.directory}{why}, {free}"
        else:
            # What had filled it may be gone by now; nothing is known of a server's disk.
            needs = f"{self.directory} filled up{why}{f': {free} now' if self.free else ''}"
        return f"{needs}. Make room there or choose another directory."


class ArchiveError(DisketteError):
    """The archive is not what it says. Takes the archive's name and what is wrong."""

    code = "unsupported-format"

    def __init__(self, archive: str, why: str) -> None:
        super().__init__(archive, why)
        self.archive, self.why = archive, why

    def __str__(self) -> str:
        return f"{self.archive}: {self.why}"


class ArchiveNotFound(ArchiveError):
    """No archive of that name or path."""

    code = "archive-not-found"


class ForeignArchive(ArchiveError):
    """Not an archive of Diskette's, or one that was cut off."""


class CutOff(ForeignArchive):
    """An archive that ends in the middle."""


class UnsupportedFormat(ArchiveError):
    """An archive of a format this version does not read."""


class ChecksumMismatch(ArchiveError):
    """A member's digest is not the one the manifest promises."""

    code = "checksum-mismatch"

    def __init__(self, archive: str, member: str, expected: str, actual: str) -> None:
        DisketteError.__init__(self, archive, member, expected, actual)
        self.archive, self.member = archive, member
        self.expected, self.actual = expected, actual

    def __str__(self) -> str:
        return (
            f"{self.archive}: {self.member}: expected SHA-256 {self.expected[:12]}…, found "
            f"{self.actual[:12]}…: the archive is damaged. Fetch it again or use another one."
        )


class MemberMissing(ArchiveError):
    """The manifest names a member that the archive does not hold."""

    code = "member-missing"

    def __init__(self, archive: str, member: str) -> None:
        DisketteError.__init__(self, archive, member)
        self.archive, self.member = archive, member

    def __str__(self) -> str:
        return (
            f"{self.archive}: {self.member} is missing: the archive is incomplete. "
            "Fetch it again or use another one."
        )


class UnsafeMember(ArchiveError):
    """A member that would land outside its place, or is no plain file."""

    code = "unsafe-member"

    def __init__(self, archive: str, member: str, why: str) -> None:
        DisketteError.__init__(self, archive, member, why)
        self.archive, self.member, self.why = archive, member, why

    def __str__(self) -> str:
        return (
            f"{self.archive}: {self.member!r} {self.why}: the archive was not made by Diskette "
            "or was changed since. Do not load it."
        )


class FindingsError(DisketteError):
    """Integrity problems that stop a step. Carries every finding, each with its own code."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(*(finding.message for finding in findings))
        self.findings = tuple(findings)

    def __str__(self) -> str:
        return "\n".join(str(argument) for argument in self.args)


class StorageError(DisketteError):
    """A directory of files cannot be read or written."""

    code = "storage"

    def __init__(self, directory: str, why: str) -> None:
        super().__init__(directory, why)
        self.directory, self.why = directory, why

    def __str__(self) -> str:
        return f"{self.directory}: {self.why}"


class DatabaseRefused(DisketteError):
    """A database will not do it: a constraint, a trigger, a right. Nothing was changed."""

    code = "database-refused"

    def __init__(self, database: str, table: str, why: str) -> None:
        super().__init__(database, table, why)
        self.database, self.table, self.why = database, table, why

    def __str__(self) -> str:
        table = f"table {self.table} of the " if self.table else ""
        return (
            f"The {table}database {self.database} refused: {self.why}. Nothing was changed. "
            "Correct the rows where the archive is made, or the constraint, trigger or right here, "
            "and load again."
        )


class ScratchRefused(DisketteError):
    """There can be no scratch database beside a live one. Takes its alias and why."""

    code = "scratch-refused"

    def __init__(self, database: str, why: str) -> None:
        super().__init__(database, why)
        self.database, self.why = database, why

    def __str__(self) -> str:
        return (
            f"No scratch database can be had beside the database {self.database}: "
            f"{self.why.rstrip('.')}. Let its user create databases, or make an empty one that "
            "is used for nothing else, on a server of the same kind, and name its alias in "
            "DISKETTE_SCRATCH_DATABASE."
        )


class MigrationFailed(DisketteError):
    """A migration of the project's failed on a scratch database."""

    code = "migration-failed"

    def __init__(self, database: str, migration: str, why: str) -> None:
        super().__init__(database, migration, why)
        self.database, self.migration, self.why = database, migration, why

    def __str__(self) -> str:
        return (
            f"The migration {self.migration} failed on a scratch database beside "
            f"{self.database}: {self.why.rstrip('.')}. Nothing live was changed. Correct the "
            "migration, or load into the release of the project that the archive was made with, "
            "and upgrade that."
        )


class DrillFailed(DisketteError):
    """The project's own check refused what a drill restored. Takes its dotted path and why."""

    code = "drill-failed"

    def __init__(self, check: str, why: str) -> None:
        super().__init__(check, why)
        self.check, self.why = check, why

    def __str__(self) -> str:
        return (
            f"The archive was restored beside the live database, and {self.check} "
            f"(DISKETTE_DRILL_CHECK) refused it: {self.why.rstrip('.')}. Correct what it found, or "
            "the check, and drill again."
        )


class StagingLost(DisketteError):
    """Staged rows are gone: PostgreSQL empties unlogged tables after a crash."""

    code = "staging-lost"

    def __init__(self, database: str, table: str, expected: int, found: int) -> None:
        super().__init__(database, table, expected, found)
        self.database, self.table = database, table
        self.expected, self.found = expected, found

    def __str__(self) -> str:
        return (
            f"Of the rows staged for {self.table} in the database {self.database}, "
            f"{humanize.intcomma(self.found)} of {humanize.intcomma(self.expected)} are there: the "
            "database was restarted after a crash, or someone cleared them. Nothing was changed. "
            "Load the archive again."
        )


class TemporaryError(DisketteError):
    """Worth another attempt; nothing else is retried."""


class SnapshotLost(TemporaryError):
    """The database's instant is gone, so every data part must be made anew."""

    code = "snapshot-lost"


class DatabaseAway(TemporaryError):
    """The database does not answer."""

    code = "database-away"


class Stopped(BaseException):
    """Unwinds a step: its run was cancelled or ended, or its lease passed to another."""
