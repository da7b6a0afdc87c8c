"""Values that backups stumble over, the same ones for the same seed.

Microseconds, money, emoji, line ends, big numbers, empty and absent values.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

Kind = TypeVar("Kind")

FIRST_INSTANT = datetime(2019, 3, 31, 0, 59, 59, 999_999, tzinfo=UTC)
SPAN = timedelta(days=2_500)
WORDS = """
    amber anchor atlas birch canvas cedar comet coral delta ember fable fjord garnet harbor
    indigo juniper kettle lantern maple nectar opal pepper quartz raven saffron thistle umbra
    velvet walnut zephyr Čeština Ελλάδα naïve Übermut crème 東京 עברית 🦊 👩‍🚀 'quoted' "double"
""".split()  # noqa: SIM905 - one word a line would be forty lines


@dataclass(frozen=True, slots=True)
class Values:
    """Values of every kind from one source of chance."""

    random: Random

    def words(self, count: int) -> str:
        return " ".join(self.random.choices(WORDS, k=count))

    def text(self, paragraphs: int) -> str:
        ends = self.random.choice(["\n\n", "\r\n", "\t\n"])
        return ends.join(self.words(self.random.randint(8, 60)) for _ in range(paragraphs))

    def instant(self) -> datetime:
        return FIRST_INSTANT + SPAN * self.random.random()

    def day(self) -> date:
        return self.instant().date()

    def amount(self, digits: int, places: int) -> Decimal:
        return Decimal(self.random.randrange(10**digits)).scaleb(-places)

    def duration(self) -> timedelta:
        return timedelta(microseconds=self.random.randrange(4 * 3_600 * 1_000_000))

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def json(self) -> dict[str, Any]:
        return {
            self.words(1): self.random.choice([None, True, 0, -1.5, 2**53, "", "Ünï"]),
            "list": [self.random.randrange(100) for _ in range(self.random.randrange(4))],
            "deep": {"price": str(self.amount(6, 2)), "empty": {}},
        }

    def maybe(self, value: Kind) -> Kind | None:
        return value if self.random.random() < 0.7 else None  # noqa: PLR2004

    def some(self, choices: Sequence[Kind], most: int) -> list[Kind]:
        return self.random.sample(choices, k=self.random.randint(0, min(most, len(choices))))
