"""An archive's rows, read into staging: the live tables are only looked at.

A staging is found again by its run and database, from any process, until it is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.db import connections
from django.db.models import Model

from diskette.core.exceptions import ConfigurationError, StagingLost
from diskette.core.fence import Fence, unfenced
from diskette.core.manifest import ModelEntry
from diskette.core.report import Finding
from diskette.data import findings, lines, tables
from diskette.data.engines.reading import Condition
from diskette.data.engines.staging import EngineStaging
from diskette.data.intake import Intake, Tick
from diskette.data.outcome import Mode, Outcome


def _postgresql() -> type[EngineStaging]:
    from diskette.data.engines.postgresql_staging import PostgreSQLStaging

    return PostgreSQLStaging


def _mysql() -> type[EngineStaging]:
    from diskette.data.engines.mysql_staging import MySQLStaging

    return MySQLStaging


def _sqlite() -> type[EngineStaging]:
    from diskette.data.engines.sqlite_staging import SQLiteStaging

    return SQLiteStaging


ENGINES: Mapping[str, Callable[[], type[EngineStaging]]] = {
    "mysql": _mysql,
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}
"""By Django's vendor name; each driver is imported only where it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    rows: int
    findings: tuple[Finding, ...]


class Staging:
    """The staged rows of one run in one database.

    `added`: models of which only rows are wanted that others refer to and the database lacks.
    `fence` raises where another process has taken over what this one does.
    """

    def __init__(
        self,
        run: str,
        database: str,
        workspace: Path,
        added: Collection[type[Model]] = (),
        fence: Fence = unfenced,
    ) -> None:
        self.run, self.database, self.workspace = run, database, workspace
        self.added, self.fence = frozenset(added), fence

    @cached_property
    def engine(self) -> EngineStaging:
        """Raises ConfigurationError where archives cannot be loaded into such a database."""
        vendor = connections[self.database].vendor
        if vendor not in ENGINES:
            raise ConfigurationError(
                f"The database {self.database} is a {vendor}: archives are loaded into "
                "PostgreSQL, SQLite and MariaDB/MySQL. Point the definition's `database` at one of "
                "those."
            )
        return ENGINES[vendor]()(self.run, self.database, self.workspace, self.fence)

    def create(self, models: Sequence[type[Model]]) -> None:
        """Make room for the models' rows, in load order; what is there already stays."""
        with self.engine.explained():
            self.engine.create(models)

    def load(
        self,
        model: type[Model],
        member_path: Path,
        entry: ModelEntry,
        *,
        ignore_unknown: bool,
        tick: Tick,
    ) -> StageReport:
        """Stage the rows of a member, in place of any staged before.

        What the manifest promises of them is proven on the way. A value that the engine
        cannot keep is a finding, and null in the staging.
        """
        intake = Intake(self.engine, model, member_path, tick)
        with self.engine.explained(lambda: model._meta.db_table):
            staged = self.engine.fill(model, intake.rows, intake.refuse)
        found = [*intake.problems(ignore_unknown=ignore_unknown)]
        digest = lines.digest_hex(intake.digest)
        found += findings.differences(entry, staged, digest, where="the archive")
        return StageReport(rows=staged, findings=tuple(found))

    def confirm(self, models: Sequence[type[Model]]) -> None:
        """Raise StagingLost where a model's staged rows are not all there."""
        with self.engine.explained(), self.engine.opened(writing=False):
            promised = {content.model: content.rows for content in self.engine.contents()}
            for model in models:
                found = self.engine.scalar(f"SELECT count(*) FROM {self.engine.staged(model)}")
                expected = promised.get(model._meta.label)
                if found != expected:
                    raise StagingLost(self.database, model._meta.db_table, expected or 0, found)

    def outcome(self, models: Sequence[type[Model]], mode: str) -> Outcome:
        """What is to be there once these models are applied."""
        return Outcome(
            engine=self.engine,
            models=tuple(models),
            neighbours=tuple(tables.neighbours(models, self.database)),
            mode=Mode(mode),
            added=self.added,
        )

    def became(self, model: type[Model]) -> Condition:
        """Which live rows a model's staged ones are, once applied. Asked of an opened engine."""
        keys = ", ".join(self.engine.key_columns(model))
        return Condition(f" WHERE ({keys}) IN (SELECT {keys} FROM {self.engine.staged(model)})")

    def take_over(self) -> None:
        """End what an earlier copy of the step at hand, taken for dead, still holds."""
        with self.engine.explained():
            self.engine.end_others()

    def drop(self) -> None:
        """Leave no trace, also of a staging that was half made. May be repeated."""
        if connections[self.database].vendor in ENGINES:
            with self.engine.explained():
                self.engine.end_others()
                self.engine.drop()
