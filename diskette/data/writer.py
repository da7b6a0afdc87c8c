"""A table's rows as lines: what the codec does on the way out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import NamedTuple

from django.db.models import JSONField, Model

from diskette.data import lines, spelling, tables
from diskette.data.engines.reading import Condition, Page, Row, reading_of
from diskette.data.kinds import Column, Kind
from diskette.data.lines import JSON_NULL, quote
from diskette.data.references import natural_references
from diskette.data.spelling import Spell

SAMPLE = 10
"""Keys told of rows that have one problem."""
EVERYTHING = Condition()
GAP = "%s"
Pieces = list[Sequence[str]]


class SpelledPage(NamedTuple):
    """Rows as their lines, and as the canonical lines that their digests are taken of."""

    lines: list[bytes]
    canonical: list[bytes]
    """The same list where nothing in these rows may be spelled in two ways."""


@dataclass(slots=True, kw_only=True)
class Unreadable:
    """Values that are none of their field's; the lines hold them as they were found."""

    field: str
    why: str
    """Of the first one."""
    keys: list[str]
    """Primary keys of the first rows that have it, as JSON."""
    count: int


class LineWriter:
    """Reads one model's table and spells its rows."""

    def __init__(
        self,
        model: type[Model],
        columns: Sequence[Column],
        *,
        using: str,
        natural_foreign: bool,
        natural_primary: bool,
        by_value: Collection[str] = (),
    ) -> None:
        self.model, self.columns, self.using = model, columns, using
        self.has_key = not natural_primary
        self.reading = reading_of(using)(model, columns, using)
        self.unreadable: dict[str, Unreadable] = {}
        self._references = natural_references(
            self.fields, using, everywhere=natural_foreign, by_value=by_value
        )

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        """The columns that stand under `fields`, in the line's order."""
        if self.has_key:
            return tuple(column for column in self.columns if not column.is_key)
        return tuple(each for each in self.columns if not each.is_key or each.is_reference)

    def pages(self, condition: Condition = EVERYTHING) -> Iterator[Page]:
        """The driver's rows by primary key, some at a time; memory stays flat."""
        references = self._references.values()
        for reference in references:
            if reference.is_small:
                reference.learn_all()
        asks = not all(reference.is_small for reference in references)
        return self.reading.pages(condition, asks=asks or self._may_ask)

    @cached_property
    def _may_ask(self) -> bool:
        """Whether a project's own field takes part, which may query as it converts."""
        return any(
            column.kind is Kind.CUSTOM and not type(column.root).__module__.startswith("django.")
            for column in self.columns
        )

    def spell(self, page: Page) -> SpelledPage:
        """Rows as lines, column by column: most of the work is done by loops in C."""
        pieces = self._pieces(page)
        for name, reference in self._references.items():
            values = pieces[self._indices[name]]
            reference.learn(values)
            pieces.append([reference.piece(value) for value in values])
        ends = self._ends(page, pieces)
        written = self._filled(self._order, pieces, ends)
        canonical = self._filled(self._canonical, pieces, ends) if self._loose else written
        return SpelledPage(written, canonical)

    def _pieces(self, page: Page) -> Pieces:
        """By column, the JSON text of each row's value; after them, those of the canonical line."""
        null, pieces = self.reading.null, list[Sequence[str]](zip(*page, strict=True))
        try:
            for index, spell in self._spellers:
                values = pieces[index]
                if null in values:
                    known = [spelling.NULL if value == null else spell(value) for value in values]
                else:
                    known = list(map(spell, values))
                pieces[index] = known
            for index, canonical in self._loose:
                pieces.append(list(map(canonical, pieces[index])))
        except Exception:  # noqa: BLE001 - a project's own field may raise whatever it likes
            return list(zip(*map(self._rescued, page), strict=True))
        return pieces

    def _rescued(self, row: Row) -> list[str]:
        """Piece by piece: what its field cannot spell stands as it was found, and is told."""
        pieces, problems, loose = list(row), {}, dict(self._loose)
        for index, spell in self._spellers:
            value = pieces[index]
            try:
                pieces[index] = spelling.NULL if value == self.reading.null else spell(value)
                loose.get(index, str)(pieces[index])
            except Exception as error:  # noqa: BLE001 - as above
                pieces[index] = spelling.rescue(self.reading.found(self.columns[index], value))
                problems[self.columns[index].name] = repr(error)
        for name, why in problems.items():
            self._note(name, why, key=",".join(pieces[self._indices[k.name]] for k in self._keys))
        return pieces + [canonical(pieces[index]) for index, canonical in self._loose]

    def _note(self, field: str, why: str, *, key: str) -> None:
        noted = self.unreadable.setdefault(
            field, Unreadable(field=field, why=why, keys=[], count=0)
        )
        noted.count += 1
        if noted.count <= SAMPLE:
            noted.keys.append(key)

    def _filled(self, order: Sequence[int], pieces: Pieces, ends: Sequence[str]) -> list[bytes]:
        """The lines: these pieces in their gaps, then what ends each."""
        start, *between = self._template.split(GAP)
        columns: list[Iterable[str]] = [repeat(start)]
        for index, text in zip(order, between, strict=True):
            columns += [pieces[index], repeat(text)]
        return _encoded(list(map("".join, zip(*columns, ends, strict=False))))

    def _ends(self, page: Page, pieces: Pieces) -> list[str]:
        """What ends each line: more than a brace where some field holds JSON's null."""
        told: dict[int, list[str]] = {}
        for index, name in self._json:
            if spelling.NULL not in pieces[index]:
                continue
            for number, piece in enumerate(pieces[index]):
                if piece == spelling.NULL and page[number][index] != self.reading.null:
                    told.setdefault(number, []).append(name)
        ends = ["}"] * len(page)
        for number, names in told.items():
            ends[number] = f',"{JSON_NULL}":[{",".join(names)}]}}'
        return ends

    @cached_property
    def _template(self) -> str:
        """The line with gaps, but for its end."""
        keys = ",".join(GAP for _ in self._keys)
        shape = keys if len(self._keys) == 1 else f"[{keys}]"
        key = f'"pk":{shape},' if self.has_key else ""
        fields = ",".join(f"{quote(column.name)}:{GAP}" for column in self.fields)
        label = quote(self.model._meta.label_lower)
        return f'{{"model":{label},{key}"fields":{{{fields}}}'

    @cached_property
    def _order(self) -> list[int]:
        """Which pieces fill the gaps.

        Pieces are those of the columns, of the canonical line, then of natural keys: a key may
        stand in the line twice, by its value under `pk` and by natural key among the fields.
        """
        return self._places([])

    @cached_property
    def _canonical(self) -> list[int]:
        """The same for the canonical line."""
        return self._places([self.columns[index].name for index, _ in self._loose])

    def _places(self, respelled: Sequence[str]) -> list[int]:
        width = len(self.columns)
        places = dict(self._indices)
        places |= {name: width + index for index, name in enumerate(respelled)}
        start = width + len(self._loose)
        places |= {name: start + index for index, name in enumerate(self._references)}
        keys = [self._indices[column.name] for column in self._keys] if self.has_key else []
        return [*keys, *(places[column.name] for column in self.fields)]

    @cached_property
    def _keys(self) -> list[Column]:
        fields = tables.key_fields(self.model)
        return [column for column in self.columns if column.field in fields]

    @cached_property
    def _indices(self) -> Mapping[str, int]:
        return {column.name: index for index, column in enumerate(self.columns)}

    @cached_property
    def _spellers(self) -> list[tuple[int, Spell]]:
        spellers = enumerate(self.reading.spellers())
        return [(index, spell) for index, spell in spellers if spell is not None]

    @cached_property
    def _loose(self) -> list[tuple[int, Callable[[str], str]]]:
        """Which columns are spelled otherwise in the canonical line, and how."""
        kinds = enumerate(column.kind for column in self.columns)
        return [(index, lines.CANONICAL[kind]) for index, kind in kinds if kind in lines.CANONICAL]

    @cached_property
    def _json(self) -> list[tuple[int, str]]:
        """Where JSON's null is told from SQL's: JSON fields and projects' own kinds of them."""
        return [
            (self._indices[each.name], quote(each.name))
            for each in self.fields
            if isinstance(each.root, JSONField)
        ]


def _encoded(texts: Sequence[str]) -> list[bytes]:
    try:
        return list(map(str.encode, texts))
    except UnicodeEncodeError:  # half a surrogate pair
        return [text.encode("utf-8", "surrogatepass") for text in texts]
