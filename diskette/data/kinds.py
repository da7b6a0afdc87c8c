"""Which fields Diskette knows by heart, and which only through their own methods."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

from django.db import models
from django.db.models import Field, ForeignKey
from django.db.models.fields.proxy import OrderWrt

AnyField: TypeAlias = "Field[Any, Any]"


class Kind(StrEnum):
    """What a column holds, hence how it is read, spelled and written."""

    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TEXT = "text"
    BINARY = "binary"
    DATE = "date"
    TIME = "time"
    INSTANT = "instant"
    DURATION = "duration"
    UUID = "uuid"
    ADDRESS = "address"
    JSON = "json"
    CUSTOM = "custom"
    """Not a stock field: asked through Django's converters and its own methods."""


STOCK: dict[type, Kind] = {
    models.AutoField: Kind.INTEGER,
    models.BigAutoField: Kind.INTEGER,
    models.SmallAutoField: Kind.INTEGER,
    models.BigIntegerField: Kind.INTEGER,
    models.IntegerField: Kind.INTEGER,
    models.PositiveBigIntegerField: Kind.INTEGER,
    models.PositiveIntegerField: Kind.INTEGER,
    models.PositiveSmallIntegerField: Kind.INTEGER,
    models.SmallIntegerField: Kind.INTEGER,
    OrderWrt: Kind.INTEGER,
    models.FloatField: Kind.FLOAT,
    models.DecimalField: Kind.DECIMAL,
    models.BooleanField: Kind.BOOLEAN,
    models.CharField: Kind.TEXT,
    models.EmailField: Kind.TEXT,
    models.FileField: Kind.TEXT,
    models.FilePathField: Kind.TEXT,
    models.ImageField: Kind.TEXT,
    models.SlugField: Kind.TEXT,
    models.TextField: Kind.TEXT,
    models.URLField: Kind.TEXT,
    models.BinaryField: Kind.BINARY,
    models.DateField: Kind.DATE,
    models.TimeField: Kind.TIME,
    models.DateTimeField: Kind.INSTANT,
    models.DurationField: Kind.DURATION,
    models.UUIDField: Kind.UUID,
    models.GenericIPAddressField: Kind.ADDRESS,
    models.JSONField: Kind.JSON,
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the model's own table."""

    field: AnyField
    kind: Kind

    @cached_property
    def name(self) -> str:
        """As it stands in the line."""
        return self.field.name

    @cached_property
    def column(self) -> str:
        """As it stands in the database."""
        return str(self.field.column)

    @cached_property
    def root(self) -> AnyField:
        """The field whose values it holds: the end of a chain of foreign keys."""
        return root_of(self.field)

    @cached_property
    def is_key(self) -> bool:
        """Its value stands under `pk`."""
        return self.field.primary_key

    @cached_property
    def is_reference(self) -> bool:
        return isinstance(self.field, ForeignKey)


STORING = (
    "db_parameters",
    "db_type",
    "from_db_value",
    "get_db_converters",
    "get_db_prep_save",
    "get_db_prep_value",
    "get_internal_type",
    "get_prep_value",
)
SHOWING = ("to_python", "value_from_object", "value_to_string")
"""A stock field's child that changes none of these stores and shows values as its parent.

The column of a file holds its name, however it is shown: some put the file itself into a
fixture, or ask other fields of the row where it lies.
"""


def kind_of(field: AnyField) -> Kind:
    """The kind of the values in a field's column; a foreign key's are its target's."""
    if isinstance(field, ForeignKey):
        return kind_of(field.target_field) if _changes_nothing(field, ForeignKey) else Kind.CUSTOM
    for parent in type(field).__mro__:
        if parent in STOCK:
            return STOCK[parent] if _changes_nothing(field, parent) else Kind.CUSTOM
    return Kind.CUSTOM


def root_of(field: AnyField) -> AnyField:
    """The field whose values a column holds: the end of a chain of foreign keys."""
    while isinstance(field, ForeignKey):
        field = field.target_field
    return field


def _changes_nothing(field: AnyField, parent: type) -> bool:
    if parent is ForeignKey and type(field) is not ForeignKey:
        parent = models.OneToOneField if isinstance(field, models.OneToOneField) else parent
    decisive = STORING if issubclass(parent, models.FileField) else STORING + SHOWING
    return all(
        getattr(type(field), name, None) is getattr(parent, name, None) and name not in vars(field)
        for name in decisive
    )
