"""Content types and permissions that a fixture refers to by number, and what they are called.

Migrations make their rows, each database under numbers of its own, so no load takes them from
an archive. The original dumped them like any other, and references to them as numbers, unless
natural keys were asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from diskette.core.report import JSON
from diskette.data import natural
from diskette.data.findings import CONTENT_TYPE, PERMISSION

MOST = 200_000
"""Rows of either kind; no project has a tenth of that."""
UNKNOWN = "unknown"

Name = tuple[JSON, ...]
"""A natural key."""
Answer = Callable[[Any], Name | None]
"""From a number to the name; None where nothing is known of it."""


class Numbers:
    """What the numbers of one archive mean: by its own rows, else by this database's."""

    def __init__(self) -> None:
        self.guessed: Counter[str] = Counter()
        """By label, how many references were understood by this database's numbers alone."""
        self._types: dict[str, Name] = {}
        self._permissions: dict[str, tuple[JSON, JSON]] = {}
        """Codename and content type, as it stands in the fixture."""
        self._here: dict[str, Mapping[str, Name]] = {}

    def learn(self, label: str, key: JSON, fields: Mapping[str, JSON]) -> None:
        """Take in a row of the archive's own. Raises ValueError for more than there can be."""
        if max(len(self._types), len(self._permissions)) >= MOST:
            raise ValueError(f"more than {MOST:,} content types or permissions")
        if label == CONTENT_TYPE:
            self._types[str(key)] = (fields.get("app_label"), fields.get("model"))
        elif label == PERMISSION:
            self._permissions[str(key)] = (fields.get("codename"), fields.get("content_type"))

    def of(self, model: type[Model]) -> Answer:
        """What tells the names of a model's numbers."""
        label = model._meta.label
        own = self._own_types if label == CONTENT_TYPE else self._own_permissions
        return partial(self._answer, model, own)

    def _answer(
        self, model: type[Model], own: Callable[[], Mapping[str, Name]], number: Any
    ) -> Name | None:
        if known := own():
            return known.get(str(number), (UNKNOWN, str(number)))
        label = model._meta.label
        if label not in self._here:
            live = natural.live_keys(model, DEFAULT_DB_ALIAS)
            self._here[label] = {str(key): name for name, key in live.items()}
        self.guessed[label] += 1
        return self._here[label].get(str(number))

    def _own_types(self) -> Mapping[str, Name]:
        return self._types

    def _own_permissions(self) -> Mapping[str, Name]:
        return self._named_permissions

    @cached_property
    def _named_permissions(self) -> Mapping[str, Name]:
        """Asked for when all rows were learned, whichever came first."""
        return {
            number: (codename, *self._type(of))
            for number, (codename, of) in self._permissions.items()
        }

    def _type(self, of: JSON) -> Name:
        if isinstance(of, list):
            return tuple(of)
        return self._types.get(str(of), (UNKNOWN, str(of)))
