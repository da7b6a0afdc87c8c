"""An archive proven to hold all that its rows refer to, by the code that a load uses.

Its rows are staged beside an empty SQLite database that has this project's tables, its
content types and its permissions, as a freshly migrated one would. All of it lies in files
of a workspace, so memory stays flat; no database of the project's is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.db.models import Model

from diskette import conf, registry
from diskette.core.archive import ArchiveReader
from diskette.core.manifest import Manifest, ModelEntry
from diskette.core.report import Finding
from diskette.core.workspace import Workspace
from diskette.data import findings, integrity, migrated, tables
from diskette.data.engines.instant import connected
from diskette.data.engines.sqlite_staging import SQLiteStaging
from diskette.data.kinds import AnyField
from diskette.data.stage import Staging

OF_THE_ENGINE = ("value-out-of-range", "null-conflict")
"""What SQLite cannot keep is no fault of the archive's."""

Tick = Callable[[int], None]


def unresolved(archive: Path, tick: Tick) -> list[Finding]:
    """Damage, and every reference that leads out of the archive. Nothing found: it is closed."""
    workspace = Workspace(conf.workspace_root(), str(uuid4()))
    workspace.create()
    try:
        with ArchiveReader(archive) as reader:
            if broken := reader.verify(tick):
                return broken
            names = [entry.member.name for entry in reader.manifest.models]
            reader.extract(names, workspace.path, tick)
            return list(_unresolved(reader.manifest, workspace.path, tick))
    finally:
        workspace.remove()


def _unresolved(manifest: Manifest, directory: Path, tick: Tick) -> Iterator[Finding]:
    """A reference cannot leave its database, so each is judged alone."""
    for entry in manifest.models:
        if registry.find_model(entry.model) is None:
            yield findings.unjudged(entry)
    for database in dict.fromkeys(each.database for each in manifest.definitions):
        held = [d for d in manifest.definitions if d.database == database]
        entries = {
            model: entry
            for definition in held
            for entry in definition.models
            if (model := registry.find_model(entry.model))
        }
        with _empty_database(f"{database}@closed", directory) as alias:
            yield from _staged(entries, alias, directory, tick)


def _staged(
    entries: dict[type[Model], ModelEntry], alias: str, directory: Path, tick: Tick
) -> Iterator[Finding]:
    staging = _Trial(uuid4().hex, alias, directory)
    order = registry.load_order(entries)
    staging.create(order)
    for model in order:
        entry = entries[model]
        path = directory / entry.member.name
        loaded = staging.load(model, path, entry, ignore_unknown=True, tick=tick)
        yield from (each for each in loaded.findings if each.code not in OF_THE_ENGINE)
    yield from integrity.unresolved(staging, order, beside=_all_tables())


class _Untyped(SQLiteStaging):
    """Values stand as they were written: other engines' types and collations are unknown here."""

    def _column(self, field: AnyField) -> str:
        return self.column(field)


class _Trial(Staging):
    @cached_property
    def engine(self) -> SQLiteStaging:
        return _Untyped(self.run, self.database, self.workspace)


@contextmanager
def _empty_database(alias: str, directory: Path) -> Iterator[str]:
    """As `migrate` leaves it, but for constraints and other engines' types."""
    options = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / f"{alias}.sqlite3")}
    settings = connections[conf.database()].settings_dict | options | {"OPTIONS": {}}
    with connected(DatabaseWrapper(settings, alias)), transaction.atomic(using=alias):
        for model in _all_tables():
            _make_table(model, alias)
        migrated.fill(alias)
    with connected(DatabaseWrapper(settings, alias)):
        yield alias


def _all_tables() -> Sequence[type[Model]]:
    found = apps.get_models(include_auto_created=True)
    by_table = {each._meta.db_table: each for each in found if not each._meta.proxy}
    return list(by_table.values())


def _make_table(model: type[Model], alias: str) -> None:
    quote = connections[alias].ops.quote_name
    fields = (*tables.stored_fields(model), *tables.generated_fields(model))
    columns = ", ".join(quote(tables.column_name(field)) for field in fields)
    with connections[alias].cursor() as cursor:
        cursor.execute(f"CREATE TABLE {quote(model._meta.db_table)} ({columns})")
