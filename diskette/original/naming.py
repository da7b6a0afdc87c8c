"""Natural keys, asked of the project's own models without the database.

A row that came without its primary key is known by its natural key alone, also to its lists.
And a fixture spells the parts of a key as text, which a number or a day in it need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import ForeignKey, Model

from diskette.core.report import JSON
from diskette.data import tables
from diskette.data.codec import MISSING, DecodedRow
from diskette.data.kinds import Column, Kind, kind_of

_SAMPLES: Mapping[Kind, Any] = {
    Kind.INTEGER: 1,
    Kind.FLOAT: 1.0,
    Kind.DECIMAL: Decimal(1),
    Kind.BOOLEAN: True,
    Kind.DATE: date(2000, 1, 1),
    Kind.TIME: time(0),
    Kind.INSTANT: datetime(2000, 1, 1, tzinfo=UTC),
    Kind.UUID: UUID(int=0),
}
_TEXT = "text"
_PARSERS: Mapping[type, Callable[[str], Any]] = {
    bool: {"True": True, "False": False}.__getitem__,
    int: int,
    float: float,
    Decimal: Decimal,
    date: date.fromisoformat,
    time: time.fromisoformat,
    datetime: datetime.fromisoformat,
}


def natural_key(model: type[Model], columns: Iterable[Column], row: DecodedRow) -> list[JSON]:
    """A row's own, as its model says. Raises ValueError where that needs more than the row has."""
    values = {
        column.field.attname: value
        for column, value in zip(columns, row.values, strict=True)
        if value is not MISSING
    }
    keys = {
        field.name: row.natural[str(field.column)]
        for field in tables.references(model)
        if str(field.column) in row.natural
    }
    try:
        return _asked(model, values, keys)
    except Exception as error:  # a project's own method may raise whatever it likes
        why = f"{model._meta.label}.natural_key() needs more than the row has: {error}"
        raise ValueError(why) from error


class KeySpelling:
    """Spells the parts of natural keys as a dump would; what types they are is found by trial."""

    def __init__(self) -> None:
        self._parsers: dict[type[Model], Sequence[Callable[[str], Any] | None]] = {}

    def spelled(self, model: type[Model], key: Sequence[JSON]) -> tuple[JSON, ...]:
        """The key of a row of that model, as found in a fixture."""
        if model not in self._parsers:
            self._parsers[model] = [_PARSERS.get(type(part)) for part in _sample_key(model, set())]
        parsers = self._parsers[model]
        if len(parsers) != len(key):
            return tuple(key)
        return tuple(map(_part, key, parsers))


def _part(part: JSON, parse: Callable[[str], Any] | None) -> JSON:
    if parse is None or not isinstance(part, str):
        return part
    try:
        return parse(part)
    except (ArithmeticError, LookupError, ValueError):
        return part


def _sample_key(model: type[Model], asked: set[type[Model]]) -> Sequence[Any]:
    """The natural key of a made up row; empty where the model cannot say."""
    if model in asked or not hasattr(model, "natural_key"):
        return ()
    fields = [field for field in model._meta.concrete_fields if not field.generated]
    references = [each for each in fields if isinstance(each, ForeignKey)]
    keys = {each.name: _sample_key(each.remote_field.model, asked | {model}) for each in references}
    values = {field.attname: _SAMPLES.get(kind_of(field), _TEXT) for field in fields}
    try:
        return _asked(model, values, keys)
    except Exception:  # noqa: BLE001 - a project's own method may raise whatever it likes
        return ()


def _asked(
    model: type[Model], values: Mapping[str, Any], keys: Mapping[str, Sequence[Any]]
) -> list[Any]:
    """What a row of these values says. `keys`: the natural keys of rows that it refers to."""
    instance: Any = model.from_db(DEFAULT_DB_ALIAS, list(values), list(values.values()))
    instance.refresh_from_db = _refuse
    for field in model._meta.concrete_fields:
        if isinstance(field, ForeignKey) and field.name in keys:
            setattr(instance, field.attname, 0)
            field.set_cached_value(instance, _stand_in(field.remote_field.model, keys[field.name]))
    with connections[DEFAULT_DB_ALIAS].execute_wrapper(_refuse):
        return list(instance.natural_key())


def _stand_in(model: Any, key: Sequence[Any]) -> Any:
    """For a row of which nothing is known but its natural key."""
    row = model.__new__(model)
    row.natural_key = lambda: key
    return row


def _refuse(*_: Any, **__: Any) -> Any:
    raise LookupError("the database is not asked")
