"""Fields of the kinds that projects write themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import models


class Point(NamedTuple):
    x: int
    y: int


class PointField(models.Field):
    """A value object, stored as text of its own spelling (not the serialized one)."""

    def db_type(self, connection: Any) -> str:
        return "varchar(40)"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Point | None:
        return None if value is None else Point(*map(int, value.strip("<>").split(" ")))

    def to_python(self, value: Any) -> Point | None:
        if value is None or isinstance(value, Point):
            return value
        try:
            return Point(*map(int, value.split(";")))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValidationError(f"{value!r} is no point") from error

    def get_prep_value(self, value: Any) -> str | None:
        point = self.to_python(super().get_prep_value(value))
        return None if point is None else f"<{point.x} {point.y}>"

    def value_to_string(self, obj: models.Model) -> str | None:
        point = self.value_from_object(obj)
        return None if point is None else f"{point.x};{point.y}"


class ShoutedField(models.CharField):
    """A stock field's child: kept in lower case, seen in upper case."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return None if value is None else value.upper()

    def get_prep_value(self, value: Any) -> str | None:
        prepared = super().get_prep_value(value)
        return None if prepared is None else prepared.lower()


class WordsField(models.TextField):
    """A tuple of words, as comma separated text; serialized as a list by its own choice."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return self.to_python(value)

    def to_python(self, value: Any) -> tuple[str, ...] | None:
        if value is None or isinstance(value, tuple):
            return value
        return tuple(value.split(",")) if value else ()

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else ",".join(self.to_python(value) or ())

    def value_to_string(self, obj: models.Model) -> str:
        return ",".join(self.value_from_object(obj) or ())


class CodeField(models.CharField):
    """A primary key of a project's own kind: `X-17`, of which only 17 is stored."""

    def db_type(self, connection: Any) -> str:
        return "integer"

    def rel_db_type(self, connection: Any) -> str:
        return "integer"

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> str | None:
        return None if value is None else f"X-{value}"

    def get_prep_value(self, value: Any) -> int | None:
        return None if value is None else int(str(value).removeprefix("X-"))
