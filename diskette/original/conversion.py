"""The fixtures of an archive of the original, row by row into members of ours.

Pairs of many-to-many relations may stand in it twice: in lists of the rows that have them, and
as rows of the tables between. Where there are any of the latter these are the whole table, so
the lists are passed over; else the lists become rows. Of a model that two fixtures have, the
rows of the later one are taken, for they were what remained after the original's load.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.apps import apps
from django.db.models import Model

from diskette import registry
from diskette.core.checksum import CHUNK_BYTES, Source, Tick
from diskette.core.exceptions import ForeignArchive, MemberMissing, UnsupportedFormat
from diskette.core.files import printable
from diskette.core.manifest import DefinitionEntry, ModelEntry
from diskette.core.report import JSON
from diskette.data import lines, spelling, tables
from diskette.data.natural import NEVER_LOADED
from diskette.original.contents import DATA
from diskette.original.naming import KeySpelling
from diskette.original.numbers import Numbers
from diskette.original.parts import MOST_WAITING, Part
from diskette.original.reading import Bounded, FixtureRow, rows
from diskette.original.reading_json import loads
from diskette.original.rows import ConvertedRow, Converter
from diskette.original.spool import Spool

MOST_MODELS = 10_000

_LABEL = re.compile(r"[a-z_]\w{0,99}\.[a-z_]\w{0,199}", re.ASCII)
_MIGRATED = re.compile(rb"contenttypes\.contenttype|auth\.permission", re.IGNORECASE)
_WRONG = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What reading a row raises that is none."""


class Conversion:
    """Gathers the rows of fixtures, in a directory that is there for nothing else."""

    def __init__(self, spool: Spool, directory: Path, tick: Tick) -> None:
        self._spool, self._directory, self._tick = spool, directory, tick
        self.numbers = Numbers()
        self.left_out: Counter[str] = Counter()
        """Rows by model, where they tell of an installation or migrations make them."""
        self.passed_over: dict[str, tuple[str, str]] = {}
        """By model that two fixtures have: the earlier one, and the one that was taken."""
        self._keys = KeySpelling()
        self._converters: dict[str, Converter | None] = {}
        """By label as a fixture has it; None where no load takes such rows."""
        self._parts: dict[str, Part] = {}
        self._between: dict[str, Part] = {}
        """Made of lists."""
        self._waiting = self._made = 0

    def learn(self, fixture: str) -> None:
        """Note what content types and permissions are called, before anything refers to them."""
        if not _mentions_migrated(self._content(fixture)):
            return
        for number, row in self._rows(fixture, lambda _: self._tick(0)):
            model = _model(row.model)
            if model is not None and model._meta.label in NEVER_LOADED:
                try:
                    fields = Converter(model, self.numbers, self._keys).read(row)
                    self.numbers.learn(model._meta.label, fields.get("id"), fields)
                except _WRONG as error:
                    raise self._no_row(fixture, number, error) from error

    def take(self, fixture: str) -> None:
        """Convert all that it holds. Raises ForeignArchive."""
        for number, row in self._rows(fixture, self._tick):
            try:
                self._add(fixture, row)
            except _WRONG as error:
                raise self._no_row(fixture, number, error) from error

    def definitions(
        self, fixtures: Sequence[str], members: dict[str, Path]
    ) -> tuple[DefinitionEntry, ...]:
        """A definition for each fixture, with the models that are taken from it."""
        self._squeeze()
        parts = self._between | self._parts
        entries = dict(self._entries(parts, members))
        return tuple(
            DefinitionEntry(
                name=fixture.removeprefix(f"{DATA}/"),
                database="default",
                models=tuple(e for label, e in entries.items() if parts[label].fixture == fixture),
            )
            for fixture in fixtures
        )

    def _add(self, fixture: str, row: FixtureRow) -> None:
        label = row.model.lower()
        converter = self._converter(label)
        if converter is not None:
            fields = converter.read(row)
            for through, pairs in converter.pairs(fields):
                self._add_pairs(fixture, through, pairs)
            self._put(self._parts, fixture, converter, converter.convert(fields))
        elif named := _never_loaded(label):
            self.left_out[named] += 1
        else:
            self._put_as_it_is(fixture, label, row)

    def _add_pairs(
        self, fixture: str, through: type[Model], pairs: Sequence[dict[str, JSON]]
    ) -> None:
        """Also none: the table is then known to have none of that row."""
        converter = self._converter(through._meta.label_lower)
        if converter is None:
            return
        self._part(self._between, fixture, through)
        for pair in pairs:
            self._put(self._between, fixture, converter, converter.convert(pair))

    def _put(
        self, parts: dict[str, Part], fixture: str, converter: Converter, row: ConvertedRow
    ) -> None:
        self._part(parts, fixture, converter.model).add(row)
        self._count(len(row.line))

    def _put_as_it_is(self, fixture: str, label: str, row: FixtureRow) -> None:
        """For a model that is not here: it is told of, and never loaded."""
        shape = loads(row.text) if row.text else {"pk": row.pk, "fields": row.fields}
        fields = dict(shape["fields"])
        text = spelling.anything({"model": label, "pk": shape.get("pk"), "fields": fields})
        line = text.encode("utf-8", "surrogatepass")
        converted = ConvertedRow(
            line=line,
            digest=lines.row_digest(line),
            has_key=shape.get("pk") is not None,
            names=tuple(fields),
        )
        self._part(self._parts, fixture, label).add(converted)
        self._count(len(line))

    def _part(self, parts: dict[str, Part], fixture: str, model: type[Model] | str) -> Part:
        label = model if isinstance(model, str) else model._meta.label
        before = parts.get(label)
        if before is not None and before.fixture == fixture:
            return before
        if before is not None:
            self.passed_over[label] = (before.fixture, fixture)
            before.path.unlink(missing_ok=True)
        self._made += 1
        table = "" if isinstance(model, str) else model._meta.db_table
        path = self._directory / f"{self._made}.jsonl.zst"
        parts[label] = Part(model=label, table=table, fixture=fixture, path=path)
        return parts[label]

    def _count(self, size: int) -> None:
        self._waiting += size
        if self._waiting >= MOST_WAITING:
            self._squeeze()

    def _squeeze(self) -> None:
        for part in (*self._parts.values(), *self._between.values()):
            part.squeeze()
        self._waiting = 0

    def _entries(
        self, parts: dict[str, Part], members: dict[str, Path]
    ) -> Iterator[tuple[str, ModelEntry]]:
        """In load order; models that are not here at the end."""
        models = {label: model for label in parts if (model := registry.find_model(label))}
        ordered = [model._meta.label for model in registry.load_order(models.values())]
        ordered += [label for label in parts if label not in models]
        for number, label in enumerate(ordered, 1):
            part, member = parts[label], f"data/{number:04}_{label}.jsonl.zst"
            if 0 < part.keyless < part.rows:
                why = f"{part.fixture} has rows of {label} with and without primary keys."
                raise ForeignArchive(self._spool.archive.name, f"{why} Load it with loaddata.")
            converter = self._converters.get(label.lower())
            fields = converter.names if converter else ()
            key = str(models[label]._meta.pk.name) if label in models else ""
            members[member] = part.path
            yield label, part.entry(member, fields, key)

    def _converter(self, label: str) -> Converter | None:
        """Raises ValueError for what is no model's label, or for more than any project has."""
        if label not in self._converters:
            if not _LABEL.fullmatch(label) or len(self._converters) >= MOST_MODELS:
                raise ValueError(f"{label[:100]!r} is no model's label, or one of too many")
            model = _model(label)
            loaded = model if model is not None and registry.is_dumpable(model) else None
            self._converters[label] = (
                Converter(loaded, self.numbers, self._keys) if loaded else None
            )
        return self._converters[label]

    def _rows(self, fixture: str, tick: Tick) -> Iterator[tuple[int, FixtureRow]]:
        number = 0
        try:
            source = Bounded(self._content(fixture), tick)
            for number, row in enumerate(rows(source), 1):
                yield number, row
        except ModuleNotFoundError as error:
            if error.name != "yaml":
                raise
            why = (
                f"{printable(fixture)} is YAML, and PyYAML is not installed. Install it "
                '(`pip install "diskette[yaml]"`), and load again.'
            )
            raise UnsupportedFormat(self._spool.archive.name, why) from error
        except _WRONG as error:
            raise self._no_row(fixture, number + 1, error) from error

    def _content(self, fixture: str) -> Source:
        member = self._spool.find(fixture)
        if member is None:
            raise MemberMissing(self._spool.archive.name, fixture)
        return self._spool.open(member)

    def _no_row(self, fixture: str, number: int, error: Exception) -> ForeignArchive:
        why = f"{printable(fixture)} is damaged at its object {number:,} ({error})."
        return ForeignArchive(self._spool.archive.name, f"{why} Fetch the archive again.")


def _model(label: str) -> type[Model] | None:
    """The installed model whose table such rows belong to; a proxy's rows are its parent's."""
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return None
    return tables.concrete(model)


def _never_loaded(label: str) -> str:
    """What to call a model whose rows tell of an installation, or are made by migrations."""
    if label.startswith("diskette."):
        return label  # the original's own
    model = _model(label)
    return model._meta.label if model is not None and registry.never_dumped(model) else ""


def _mentions_migrated(source: Source) -> bool:
    rest = b""
    while chunk := source.read(CHUNK_BYTES):
        if _MIGRATED.search(rest + chunk):
            return True
        rest = chunk[-40:]
    return False
