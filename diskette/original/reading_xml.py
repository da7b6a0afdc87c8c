"""A fixture of XML, as Django's serializer writes it.

A document type is refused, and with it every entity: nothing in it can grow, or be fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.parsers import expat

from diskette.core.report import JSON
from diskette.original.reading import CHUNK_BYTES, Bounded, FixtureRow

DEEPEST = 6
"""Objects, an object, its field, an object of that, a natural key: one more than there are."""

Attributes = Mapping[str, str]


def rows(source: Bounded) -> Iterator[FixtureRow]:
    """Raises ValueError for what is no XML, or no fixture."""
    document = _Document()
    try:
        while chunk := source.read(CHUNK_BYTES):
            document.parser.Parse(chunk, False)
            yield from document.take()
        document.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ValueError(f"no XML: {error}") from error


class _Document:
    """Gathers rows while the parser goes on."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self._rows: list[FixtureRow] = []
        self._open: list[str] = []
        self._row: FixtureRow | None = None
        self._field = _Field({})

    def take(self) -> list[FixtureRow]:
        """The rows that are complete."""
        rows, self._rows = self._rows, []
        return rows

    def _start(self, name: str, attributes: Attributes) -> None:
        self._open.append(name)
        depth = len(self._open)
        if depth > DEEPEST or (depth == 1 and name != "django-objects"):
            raise ValueError("XML that is no fixture of Django's")
        if depth == 2:  # noqa: PLR2004 - beneath the objects, an object
            self._row = FixtureRow(model=attributes["model"], pk=attributes.get("pk"), is_text=True)
        elif name == "field":
            self._field = _Field(attributes)
        else:
            self._field.start(name, attributes)

    def _end(self, name: str) -> None:
        self._open.pop()
        if self._row is None:
            return
        if name == "field":
            self._row.fields[self._field.name] = self._field.value
        elif len(self._open) == 1:
            self._rows.append(self._row)
            self._row = None
        else:
            self._field.end(name)

    def _characters(self, text: str) -> None:
        self._field.text.append(text)

    def _refuse(self, *_: object) -> None:
        raise ValueError("XML with a document type or an entity")


class _Field:
    """What stands in one field's element."""

    def __init__(self, attributes: Attributes) -> None:
        self.name = attributes.get("name", "")
        self._is_list = attributes.get("rel") == "ManyToManyRel"
        self._is_null = False
        self._natural: list[JSON] = []
        self._items: list[JSON] = []
        self._pk: str | None = None
        self.text: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        self._is_null |= name == "None"
        if name == "object":
            self._pk = attributes.get("pk")
        self.text.clear()

    def end(self, name: str) -> None:
        if name == "natural":
            self._natural.append("".join(self.text))
        elif name == "object":
            self._items.append(self._natural if self._pk is None else self._pk)
            self._natural = []
        self.text.clear()

    @property
    def value(self) -> JSON:
        if self._is_list:
            return self._items
        if self._is_null:
            return None
        return self._natural or "".join(self.text)
