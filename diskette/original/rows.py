"""A fixture's rows as lines of an archive: each value spelled as a dump here would spell it.

So the row digest that is taken on the way is the one that the loaded table has. What cannot
be one of its field's values stands as it was found, for the load to refuse with everything
else that is wrong; so do fields that the model here does not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from diskette.core.report import JSON
from diskette.data import lines, spelling, tables
from diskette.data.codec import MISSING, DecodedRow, codec
from diskette.data.engines.reading import shown_speller
from diskette.data.kinds import Column, Kind
from diskette.data.lines import JSONText, quote
from diskette.data.natural import references_to_migrated
from diskette.data.spelling import NULL, Spell
from diskette.data.values import Verbatim
from diskette.original.naming import KeySpelling, natural_key
from diskette.original.numbers import Numbers
from diskette.original.reading import FixtureRow
from diskette.original.reading_json import loads

Pairs = tuple[type[Model], list[dict[str, JSON]]]
"""The table of a many-to-many relation, and rows of it by field name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedRow:
    line: bytes
    digest: int
    """The row's share of the table's."""
    has_key: bool
    names: tuple[str, ...]
    """Fields that the line has, the key apart."""
    named: tuple[str, ...] = ()
    """References that stand in it by natural key, but for those that always do."""
    numbered: tuple[str, ...] = ()
    """And those that could, but stand by value."""


class Converter:
    """Of one model's rows."""

    def __init__(self, model: type[Model], numbers: Numbers, keys: KeySpelling) -> None:
        self.model, self._keys = model, keys
        self._codec = codec(model, using=DEFAULT_DB_ALIAS)
        self._key = str(model._meta.pk.name) if len(tables.key_fields(model)) == 1 else ""
        self._many = {
            many.name: (many, through)
            for many in model._meta.local_many_to_many
            if (through := many.remote_field.through) and through._meta.auto_created
        }
        self._generated = [each.name for each in tables.generated_fields(model)]
        self._columns = [(each, _speller(each)) for each in self._codec.columns]
        self._answers = {
            each.column: numbers.of(each.remote_field.model)
            for each in references_to_migrated(model)
        }
        self._natural = tables.natural_references(model)
        always = references_to_migrated(model)
        self._references = [each.name for each in self._natural if each not in always]
        self._label = quote(model._meta.label_lower)

    @property
    def names(self) -> tuple[str, ...]:
        """Every field of a line, the key apart."""
        return tuple(column.name for column, _ in self._columns if not column.is_key)

    def read(self, row: FixtureRow) -> dict[str, JSON]:
        """The row's values by field name, the key's among them; JSON is text. Raises ValueError."""
        if row.text:
            try:
                fields, _, _ = self._codec.read(row.text)
            except json.JSONDecodeError:  # it may be right for Python: NaN
                tree = loads(row.text)
                row = replace(row, pk=tree.get("pk"), fields=tree["fields"])
            else:
                return self._stored(fields)
        fields = dict(row.fields)
        if row.pk is not None and self._key:
            fields[self._key] = row.pk
        for column, _ in self._columns:
            value = fields.get(column.name)
            if column.kind is Kind.JSON and value is not None:
                text = value if row.is_text else json.dumps(value, allow_nan=False)
                fields[column.name] = JSONText(text)
        return self._stored(fields)

    def _stored(self, fields: dict[str, JSON]) -> dict[str, JSON]:
        """Without what the database will generate again."""
        for name in self._generated:
            fields.pop(name, None)
        return fields

    def pairs(self, fields: dict[str, JSON]) -> Iterator[Pairs]:
        """What the row's lists of many-to-many fields hold, each as a table's rows.

        The lists are taken out of the fields.
        """
        for name, (many, through) in self._many.items():
            if isinstance(fields.get(name), list):
                one, other = many.m2m_field_name(), many.m2m_reverse_field_name()
                own = self._own_key(fields)
                found = [{one: own, other: each} for each in fields.pop(name)]
                yield through, found

    def convert(self, fields: dict[str, JSON]) -> ConvertedRow:
        """Takes `fields` to pieces. Raises ValueError for what cannot be written at all."""
        decoded = self._codec.decoded(fields, (), 0)
        self._name(decoded)
        pieces = dict(self._pieces(decoded))
        extra = {name: spelling.rescue(value) for name, value in decoded.unknown.items()}
        written = [name for name in self._references if pieces.get(name, NULL) != NULL]
        named = [name for name in written if pieces[name].startswith("[")]
        line = self._line(pieces, extra)
        return ConvertedRow(
            line=line,
            digest=lines.row_digest(self._canonical(pieces, extra) or line),
            has_key=not self._key or self._key in pieces,
            names=tuple(name for name in (*pieces, *extra) if name != self._key),
            named=tuple(named),
            numbered=tuple(name for name in written if name not in named),
        )

    def _own_key(self, fields: dict[str, JSON]) -> JSON:
        """By which other rows refer to it."""
        if self._key in fields:
            return fields[self._key]
        decoded = self._codec.decoded(dict(fields), (), 0)
        return natural_key(self.model, self._codec.columns, decoded)

    def _name(self, decoded: DecodedRow) -> None:
        """Natural keys are spelled as everywhere, and numbers of what no archive carries named."""
        for reference in self._natural:
            if key := decoded.natural.get(str(reference.column)):
                target = reference.remote_field.model
                decoded.natural[str(reference.column)] = self._keys.spelled(target, key)
        for place, (column, _) in enumerate(self._columns):
            answers = self._answers.get(column.column)
            value = decoded.values[place]
            if answers is None or value is None or value is MISSING:
                continue
            if column.column not in decoded.invalid and (key := answers(value)):
                decoded.values[place] = None
                decoded.natural[column.column] = key

    def _pieces(self, decoded: DecodedRow) -> Iterator[tuple[str, str]]:
        for (column, spell), value in zip(self._columns, decoded.values, strict=True):
            if column.column in decoded.natural:
                yield column.name, spelling.anything(list(decoded.natural[column.column]))
            elif column.column in decoded.invalid:
                yield column.name, spelling.rescue(value)
            elif value is None:
                yield column.name, NULL
            elif value is not MISSING:
                yield column.name, spell(value)

    def _line(self, pieces: Mapping[str, str], extra: Mapping[str, str]) -> bytes:
        fields = ",".join(
            f"{quote(name)}:{piece}"
            for name, piece in (*pieces.items(), *extra.items())
            if name != self._key
        )
        key = f'"pk":{self._key_piece(pieces)},' if self._key_piece(pieces) else ""
        text = f'{{"model":{self._label},{key}"fields":{{{fields}}}}}'
        return text.encode("utf-8", "surrogatepass")

    def _key_piece(self, pieces: Mapping[str, str]) -> str:
        if self._key:
            return pieces.get(self._key, "")
        keys = [pieces.get(field.name, NULL) for field in tables.key_fields(self.model)]
        return f"[{','.join(keys)}]"

    def _canonical(self, pieces: Mapping[str, str], extra: Mapping[str, str]) -> bytes:
        """The line that the digest is of, where that is another one."""
        spelled = {
            column.name: lines.CANONICAL[column.kind](pieces[column.name])
            for column, _ in self._columns
            if column.kind in lines.CANONICAL and column.name in pieces
        }
        return self._line({**pieces, **spelled}, extra) if spelled else b""


def _speller(column: Column) -> Spell:
    """From a decoded value other than null to its piece."""
    own = shown_speller(column) if column.kind is Kind.CUSTOM else None

    def spell(value: Any) -> str:
        if isinstance(value, JSONText):
            return _json(value)
        if isinstance(value, Verbatim):
            return quote(value)
        return own(value) if own else spelling.anything(value)

    return spell


def _json(text: str) -> str:
    lines.canonical_json(text)  # raises ValueError where it is no JSON
    return spelling.embedded(text)
