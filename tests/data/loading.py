"""Members of archives made by hand or by dumping, and loaded step by step."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard
from django.apps import apps
from django.db import connections
from django.db.models import Model, QuerySet

from diskette import registry
from diskette.core.manifest import MemberEntry, ModelEntry
from diskette.core.report import Finding
from diskette.data import lines
from diskette.data.apply import apply
from diskette.data.codec import codec
from diskette.data.dump import dump_model
from diskette.data.engines.reading import Condition
from diskette.data.integrity import check
from diskette.data.stage import StageReport, Staging
from diskette.data.verify import verify
from diskette.data.writer import EVERYTHING

REPOSITORY = Path(__file__).parents[2]

Line = Mapping[str, Any]
Models = Sequence[type[Model]]


def nothing(_: int = 0) -> None:
    """A tick that counts for nobody, a mark that marks nothing."""


def all_models(*databases: str) -> list[type[Model]]:
    """Every model that is dumped and has its table in all of these databases, in load order."""
    vendors = [connections[database].vendor for database in databases]
    chosen = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in ("auth", "library", "pglibrary", "pgextras")
        and model._meta.managed
        and not model._meta.proxy
        and model._meta.label != "auth.Permission"
        and all(model._meta.required_db_vendor in (None, vendor) for vendor in vendors)
    ]
    return list(registry.load_order(chosen))


def contents(model: type[Model], using: str) -> list[tuple[Any, ...]]:
    """Every value of a table's own columns, as Django reads it."""
    fields = [field.attname for field in model._meta.local_concrete_fields]
    rows = QuerySet(model=model, using=using)
    return sorted(rows.values_list(*fields), key=repr)


def snapshot(using: str, models: Iterable[type[Model]]) -> dict[str, list[tuple[Any, ...]]]:
    return {model._meta.label: contents(model, using) for model in models}


@dataclass
class Archive:
    """Members in a directory."""

    directory: Path
    entries: dict[type[Model], ModelEntry] = field(default_factory=dict)

    def path(self, model: type[Model]) -> Path:
        return self.directory / f"{model._meta.label}.jsonl.zst"

    def dump(self, using: str, models: Models, **options: Any) -> Archive:
        for model in models:
            self.path(model).unlink(missing_ok=True)
            part = dump_model(model, self.path(model), using=using, tick=nothing, **options)
            self._add(
                model,
                part.rows,
                part.digest,
                primary_key=part.primary_key,
                natural_foreign=part.natural_foreign,
            )
        return self

    def write(self, model: type[Model], *rows: Line) -> Archive:
        """A member of these rows: `pk` and fields by name, lists for natural keys."""
        raw = [self._line(model, dict(row)) for row in rows]
        self.path(model).write_bytes(zstandard.compress(b"".join(line + b"\n" for line in raw)))
        reader = codec(model, using="default")
        digest = lines.digest_hex(sum(map(reader.digest, raw)))
        natural = any(type(value) is list for row in rows for value in row.values())
        self._add(model, len(raw), digest, natural_foreign=natural)
        return self

    def _line(self, model: type[Model], row: dict[str, Any]) -> bytes:
        shape = {"model": model._meta.label_lower}
        if "pk" in row:
            shape["pk"] = row.pop("pk")
        line = shape | {"fields": row}
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()

    def _add(self, model: type[Model], rows: int, digest: str, **more: Any) -> None:
        member = MemberEntry(name=self.path(model).name, bytes=0, sha256="")
        self.entries[model] = ModelEntry(
            model=model._meta.label,
            table=model._meta.db_table,
            member=member,
            rows=rows,
            raw_bytes=0,
            digest=digest,
            fields=(),
            **{"primary_key": "id", **more},
        )


@dataclass
class Loading:
    """One archive on its way into one database."""

    archive: Archive
    using: str
    mode: str = "replace"
    added: tuple[type[Model], ...] = ()
    ignore_unknown: bool = False
    run: str = field(default_factory=lambda: str(uuid.uuid4()))
    reports: dict[type[Model], StageReport] = field(default_factory=dict)

    @property
    def models(self) -> list[type[Model]]:
        return list(registry.load_order(list(self.archive.entries)))

    @property
    def staging(self) -> Staging:
        """Found again each time, as every task does."""
        return Staging(self.run, self.using, self.archive.directory, self.added)

    def stage(self) -> Loading:
        self.staging.create(self.models)
        for model in self.models:
            self.reports[model] = self.staging.load(
                model,
                self.archive.path(model),
                self.archive.entries[model],
                ignore_unknown=self.ignore_unknown,
                tick=nothing,
            )
        return self

    def check(self, *, drop_stale: bool = False) -> list[Finding]:
        found = check(self.staging, self.models, mode=self.mode, drop_stale=drop_stale)
        return [f for report in self.reports.values() for f in report.findings] + found

    def apply(self, mark: Any = nothing, tick: Any = nothing) -> Loading:
        apply({self.staging: self.models}, mode=self.mode, mark=mark, tick=tick)
        return self

    def verify(self) -> list[Finding]:
        if self.mode != "merge":
            return [each for model in self.models for each in self._verified(model, EVERYTHING)]
        with self.staging.engine.opened(writing=False):
            became = self.staging.became
            return [each for model in self.models for each in self._verified(model, became(model))]

    def _verified(self, model: type[Model], condition: Condition) -> list[Finding]:
        entry, path = self.archive.entries[model], self.archive.path(model)
        return verify(entry, path, using=self.using, condition=condition, tick=nothing)

    def drop(self) -> None:
        self.staging.drop()

    def load(self) -> list[Finding]:
        """All of it, as long as nothing is wrong; what is wrong."""
        self.stage()
        if not (found := self.check()):
            self.apply()
            found = self.verify()
        self.drop()
        return found


def apply_elsewhere(loading: Loading, **more: Any) -> int:
    """Apply in a process of its own, and return how it ended. `more`: see apply_staged."""
    place = connections[loading.using].settings_dict
    words = {
        "alias": loading.using,
        "engine": place["ENGINE"],
        "place": {name: str(place[name]) for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")},
        "run": loading.run,
        "directory": str(loading.archive.directory),
        "models": [model._meta.label for model in loading.models],
        "mode": loading.mode,
        **more,
    }
    script = [sys.executable, "-m", "tests.data.apply_staged", json.dumps(words)]
    return subprocess.run(script, check=False, cwd=REPOSITORY, timeout=60).returncode


def staged_schemas(using: str) -> list[str]:
    with connections[using].cursor() as cursor:
        cursor.execute(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'diskette\_%'")
        return [name for (name,) in cursor.fetchall()]


def staged_tables(using: str) -> list[str]:
    """MariaDB's: their names go on with the run's id, where those of models have a word."""
    with connections[using].cursor() as cursor:
        cursor.execute("SHOW TABLES")
        names = [name for (name,) in cursor.fetchall()]
    return [name for name in names if re.match("diskette_[0-9a-f]{12}_", name)]


STAGED = {"postgresql": staged_schemas, "mysql": staged_tables, "sqlite": lambda _: []}
DROP = {"postgresql": 'DROP SCHEMA "{}" CASCADE', "mysql": "DROP TABLE `{}`"}


def traces(using: str, directory: Path) -> list[str]:
    """What a staging left behind."""
    files = [path.name for path in directory.glob("staging-*")]
    return files + STAGED[connections[using].vendor](using)


def drop_stagings(using: str) -> None:
    """Of tests that ended without doing so."""
    vendor = connections[using].vendor
    for name in STAGED[vendor](using):
        with connections[using].cursor() as cursor:
            cursor.execute(DROP[vendor].format(name))
