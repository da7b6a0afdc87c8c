"""Reading engines that give plain values: numbers, bytes, and text for whatever has a calendar.

The text of days, times and instants is parsed here, not by the driver: drivers turn what
they cannot parse into None, and a value would be lost unseen.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from itertools import islice
from uuid import UUID

from django.utils import timezone

from diskette import conf
from diskette.data import spelling
from diskette.data.engines.reading import PAGE_ROWS, Page, Reading, Row, gathered, own_speller
from diskette.data.kinds import Column, Kind
from diskette.data.lines import quote
from diskette.data.spelling import Spell

LONG = 500
"""Characters; shorter columns do not count for the size of a page."""
_BARE_UUID = re.compile("[0-9a-f]{32}").fullmatch
_BOOLEANS = {0: "false", 1: "true"}


class PlainReading(Reading):
    def spellers(self) -> Sequence[Spell | None]:
        return [self._speller(column) for column in self.columns]

    def _speller(self, column: Column) -> Spell:
        if column.kind is Kind.CUSTOM:
            return own_speller(column, self.connection)
        if column.kind is Kind.DECIMAL:
            return self.decimal_speller(column)
        if column.kind is Kind.INSTANT:
            return self._instant_speller()
        return _SPELLERS[column.kind]

    def gathered(self, rows: Iterator[Row]) -> Iterator[Page]:
        """The rows in pages; only values of unbounded columns are measured."""
        unbounded = [index for index, each in enumerate(self.columns) if _is_unbounded(each)]
        if not unbounded:
            return iter(lambda: list(islice(rows, PAGE_ROWS)), [])

        def size(row: Row) -> int:
            return sum(
                len(row[index]) for index in unbounded if isinstance(row[index], str | bytes)
            )

        return gathered(rows, size)

    @abstractmethod
    def decimal_speller(self, column: Column) -> Spell:
        """How this engine's decimals are spelled."""

    def _instant_speller(self) -> Spell:
        spell, zone = spelling.instant(), self.connection.timezone if conf.use_tz() else None
        is_utc = zone is UTC

        def spelled(value: str) -> str:
            at = datetime.fromisoformat(value)
            if is_utc and at.tzinfo is None:
                return spelling.utc_instant(at)
            aware = zone is None or at.tzinfo
            return spell(at if aware else timezone.make_aware(at, zone))

        return spelled


def _is_unbounded(column: Column) -> bool:
    if column.kind in (Kind.BINARY, Kind.CUSTOM, Kind.JSON):
        return True
    length = column.root.max_length
    return column.kind is Kind.TEXT and (length is None or length > LONG)


def _floating(value: float) -> str:
    return spelling.floating(float(value))


def _day(value: str) -> str:
    return spelling.day(date.fromisoformat(value))


def _clock(value: str) -> str:
    return spelling.clock(time.fromisoformat(value))


def _identifier(value: str) -> str:
    if _BARE_UUID(value):
        return f'"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"'
    return spelling.identifier(UUID(value))


_SPELLERS: Mapping[Kind, Spell] = {
    Kind.INTEGER: spelling.integer,
    Kind.FLOAT: _floating,
    Kind.BOOLEAN: _BOOLEANS.__getitem__,
    Kind.TEXT: quote,
    Kind.BINARY: spelling.binary,
    Kind.DATE: _day,
    Kind.TIME: _clock,
    Kind.DURATION: spelling.microseconds,
    Kind.UUID: _identifier,
    Kind.ADDRESS: quote,
    Kind.JSON: spelling.embedded,
}
