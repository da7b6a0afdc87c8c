"""Reading SQLite: any column may hold a value of any type, whatever it was declared.

Columns of known kinds are read past the converters that Django gives the driver:
`+column` has no declared type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal

from django.db import connections
from django.db.models import Model

from diskette.data import spelling
from diskette.data.engines.plain_reading import PlainReading
from diskette.data.engines.reading import Condition, Estimate, Page
from diskette.data.kinds import Column, Kind
from diskette.data.spelling import Spell

_ALL_DIGITS = Context(prec=1000)
"""A value with more digits than its field should have is kept, not judged."""


class SQLiteReading(PlainReading):
    def expression(self, column: Column) -> str:
        if column.kind is Kind.CUSTOM:
            return self.as_django_reads(column)
        return f"+{self.quoted(column.column)}"

    def decimal_speller(self, column: Column) -> Spell:
        """SQLite keeps decimals as numbers: beyond the field's places there is noise of floats.

        All digits of the number are taken, where Django's own converter takes fifteen.
        """
        places = getattr(column.root, "decimal_places", None)
        step = None if places is None else Decimal(1).scaleb(-places)
        fits = re.compile(rf"-?\d+\.\d{{1,{'' if places is None else places}}}").fullmatch

        def spelled(value: float) -> str:
            if isinstance(value, int):
                return f'"{value}"'
            digits = float.__repr__(value)
            if fits(digits) and digits != "-0.0":
                return f'"{digits.removesuffix(".0")}"'
            exact = Decimal(digits)
            if step is not None and exact.is_finite():
                exact = exact.quantize(step, context=_ALL_DIGITS)
            return spelling.decimal(exact)

        return spelled

    def pages(self, condition: Condition, *, asks: bool) -> Iterator[Page]:  # noqa: ARG002
        with self.connection.cursor() as cursor:
            cursor.execute(self.select(condition), condition.parameters or None)
            yield from self.gathered(iter(cursor))

    @classmethod
    def estimate(cls, models: Sequence[type[Model]], using: str) -> dict[str, Estimate]:
        """Rows are counted, which reads an index; bytes are the file's, shared out by rows."""
        counts = {model._meta.label: cls(model, (), using).count() for model in models}
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            size = int(cursor.fetchone()[0])
        total = sum(counts.values()) or 1
        return {
            label: Estimate(rows=rows, bytes=size * rows // total) for label, rows in counts.items()
        }
