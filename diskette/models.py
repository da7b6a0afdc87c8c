"""The truth about runs: what is to be done, who does it, until when, and how it ended.

Task results and messages are projections of these rows. They are never dumped,
cleared or loaded. Leases are compared by the database's clock alone.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from django.db import models
from django.db.models import functions
from django.utils import timezone

from diskette import conf
from diskette.core.plan import ENDED, Kind, State
from diskette.core.report import Finding, Progress, distinct
from diskette.core.workspace import Workspace

PROJECT_LOCK = "project"
DRILL_LOCK = "drill"
"""A drill writes nothing live, so it only waits for other drills, never keeps a dump waiting."""
KINDS = [(kind.value, kind.value) for kind in Kind]
SWEEP = "sweep"
"""That a worker sweeps: seen whenever one does."""
HEALTH = "health"
"""The report on health: what of it people have been told, and when."""
STATES = [(state.value, state.value) for state in State]


class Now(functions.Now):
    """The database's clock, in UTC on every engine: MySQL's has the time zone of its server."""

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **context)


def after(seconds: timedelta) -> models.Expression:
    """An instant that far ahead of the database's clock."""
    return models.ExpressionWrapper(Now() + seconds, output_field=models.DateTimeField())


def stored(instant: datetime) -> datetime:
    """An aware instant as this project's date columns take it."""
    return instant if conf.use_tz() else timezone.make_naive(instant)


class Run(models.Model):
    """One dump or load, whole."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=KINDS)
    state = models.CharField(max_length=16, choices=STATES, default=State.PENDING)
    ending = models.CharField(max_length=16, choices=STATES, blank=True, default="")
    """The state it will have as soon as no step is at work any more."""
    options = models.JSONField(default=dict)
    requested_by = models.CharField(max_length=200, blank=True, default="")
    approved_at = models.DateTimeField(null=True, blank=True)
    """When a load was allowed to write; whoever requested it did that."""
    expires_at = models.DateTimeField(null=True, blank=True)
    """Until when its first step may be taken."""
    used_at = models.DateTimeField(null=True, blank=True)
    """When its approval was used up: by the first taking of its first step."""
    inline = models.BooleanField(default=True)
    """Driven by one process, step after step, not by workers."""
    driver = models.CharField(max_length=255, blank=True, default="")
    driver_until = models.DateTimeField(null=True, blank=True)
    """An inline run's sign of life, between its steps too."""
    parent = models.ForeignKey(
        "self", null=True, blank=True, related_name="children", on_delete=models.CASCADE
    )
    """The load that this dump makes safe; it holds the lock for both."""
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    """Set in the very transaction that replaces the data."""
    percent = models.FloatField(default=0.0)
    stats = models.JSONField(default=dict)
    findings = models.JSONField(default=list)
    """Problems of the run itself; those of steps stay with the steps."""
    archive = models.TextField(blank=True, default="")
    teller = models.CharField(max_length=255, blank=True, default="")
    """The process that ended it and tells so."""
    tell_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """Until its end is told: when another process has to do it."""
    version = models.PositiveIntegerField(default=0)
    """Written first in each transaction on the run: the lock that every engine has."""

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [models.Index(fields=["state"], name="diskette_run_state")]
        permissions: ClassVar = [
            (f"{kind}_archive", f"Can {kind} archives")
            for kind in ("drill", "dump", "load", "prune")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def workspace(self) -> Workspace:
        """Where it was begun, though a process of another working directory goes on with it."""
        root = self.options.get("workspace") or conf.workspace_root()
        return Workspace(Path(root), str(self.pk))

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Of the run and of its steps, in the order of the steps."""
        shapes = list(self.findings)
        for step in self.steps.all():
            shapes += step.findings
        return tuple(map(Finding.from_json, distinct(shapes)))


class Step(models.Model):
    """One link of a run's chain."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(Run, related_name="steps", on_delete=models.CASCADE)
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=64)
    subject = models.CharField(max_length=150, blank=True, default="")
    weight = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=STATES, default=State.PENDING)
    attempt = models.PositiveIntegerField(default=0)
    token = models.PositiveIntegerField(default=0)
    """Grows with each taking; whoever holds an older one can finish nothing."""
    lease_until = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    """When a ready step should be asked for again."""
    worker = models.CharField(max_length=255, blank=True, default="")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    unit = models.CharField(max_length=16, blank=True, default="")
    stats = models.JSONField(default=dict)
    findings = models.JSONField(default=list)
    output = models.JSONField(default=dict)
    error = models.JSONField(null=True, blank=True)
    """Type, module and fields of what made it fail."""

    class Meta:
        ordering: ClassVar = ["position", "name", "subject"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "name", "subject"], name="diskette_step_once")
        ]
        indexes: ClassVar = [models.Index(fields=["state", "due_at"], name="diskette_step_due")]

    def __str__(self) -> str:
        return f"{self.name} {self.subject}".rstrip()

    @property
    def result_id(self) -> str:
        """Its task's and its result's id."""
        return "/".join(filter(None, (str(self.run_id), self.name, self.subject)))

    @property
    def progress(self) -> Progress:
        return Progress(done=self.done, total=self.total, unit=self.unit or "steps")

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.state in ENDED:
            return 1.0
        return self.progress.percent / 100


class Lock(models.Model):
    """At most one row of a name: the run that holds the project, the drill there is."""

    name = models.CharField(primary_key=True, max_length=64)
    run = models.OneToOneField(Run, related_name="lock", on_delete=models.CASCADE)
    taken_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.name}: {self.run_id}"


class Sighting(models.Model):
    """When something that has to go on was last seen, and what was known of it then."""

    name = models.CharField(primary_key=True, max_length=64)
    seen_at = models.DateTimeField(default=timezone.now)
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.name}: {self.seen_at}"


class Archive(models.Model):
    """An archive of the destination, and what is known of it.

    A dump's is read back and found whole before it is published; others are met by verifying.
    """

    path = models.TextField()
    name = models.CharField(max_length=255)
    label = models.CharField(max_length=150)
    purpose = models.CharField(max_length=16, default="dump")
    run = models.ForeignKey(Run, null=True, related_name="archives", on_delete=models.SET_NULL)
    instant = models.DateTimeField()
    bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    verified_at = models.DateTimeField(null=True, blank=True)
    """When every byte of it was last found right."""
    damaged_at = models.DateTimeField(null=True, blank=True)
    """When it was last found damaged, if it has not been found right since."""
    proven_at = models.DateTimeField(null=True, blank=True)
    """When it was last restored whole, by a load or a drill, and all that it holds compared."""
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-instant"]

    def __str__(self) -> str:
        return self.name
