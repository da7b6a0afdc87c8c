"""The project's rows, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

SEED = 20261122
FIRST_DAY = datetime(2001, 3, 4, tzinfo=UTC)
DAYS = 9000
WORDS_IN_1_KB = 150
TAGS = 200
CATEGORIES = 300
GROUPS = 10
SHARES = {"users": 5, "authors": 5, "books": 20, "book_tags": 30, "reviews": 15, "sales": 25}
"""Per cent of all rows; tags, categories and groups are few whatever the number."""

Row = Sequence[Any]


class Rows:
    """Rows of each table, parents first; call the tables in their order, once each."""

    def __init__(self, total: int, review_subject: int, seed: int = SEED) -> None:
        self.counts = {name: max(1, total * share // 100) for name, share in SHARES.items()}
        self._subject = review_subject
        self._random = Random(seed)  # noqa: S311 - data, not secrets
        self._words = [self._word() for _ in range(3000)]
        self._categories = [self._uuid() for _ in range(CATEGORIES)]

    def groups(self) -> Iterator[Row]:
        return ((key, f"group {key}") for key in range(1, GROUPS + 1))

    def tags(self) -> Iterator[Row]:
        return ((key, f"{self._text(1)}-{key}") for key in range(1, TAGS + 1))

    def categories(self) -> Iterator[Row]:
        for place, key in enumerate(self._categories):
            parent = self._categories[place // 4] if place else None
            yield key, self._text(2), f"category-{place}", parent

    def users(self) -> Iterator[Row]:
        for key in range(1, self.counts["users"] + 1):
            password = f"pbkdf2_sha256$1000000${self._random.getrandbits(320):080x}"
            names = self._text(1).title(), self._text(1).title()
            login = self._instant() if key % 3 else None
            yield (
                *(key, password, login, key == 1, f"user{key}", *names),
                *(f"user{key}@example.com", key % 50 == 0, True, self._instant()),
            )

    def user_groups(self) -> Iterator[Row]:
        for key in range(1, self.counts["users"] + 1, 10):
            yield key, key, key % GROUPS + 1

    def authors(self) -> Iterator[Row]:
        for key in range(1, self.counts["authors"] + 1):
            user = self._key("users") if key % 4 else None
            born = date(1930, 1, 1) + timedelta(days=self._random.randrange(25_000))
            name = self._text(2).title()
            yield key, user, name, f"author{key}@example.com", born, self._text(WORDS_IN_1_KB)

    def books(self) -> Iterator[Row]:
        for key in range(1, self.counts["books"] + 1):
            sequel_of = self._random.randrange(1, key) if key % 5 == 0 else None
            category = self._random.choice(self._categories)
            keys = self._key("authors"), category, self._key("users"), sequel_of
            yield key, self._text(4).title(), self._text(WORDS_IN_1_KB), *keys, *self._measures()

    def book_tags(self) -> Iterator[Row]:
        """Neighbouring tags, so that no pair comes twice."""
        books = self.counts["books"]
        for place in range(self.counts["book_tags"]):
            turn, book = divmod(place, books)
            yield place + 1, book + 1, (book * 7 + turn) % TAGS + 1

    def reviews(self) -> Iterator[Row]:
        for key in range(1, self.counts["reviews"] + 1):
            stars = self._random.randint(1, 5)
            text = self._text(40)
            book, writer = self._key("books"), self._key("users")
            yield key, self._subject, book, writer, stars, text, self._instant()

    def sales(self) -> Iterator[Row]:
        for place in range(self.counts["sales"]):
            options = {"gift": place % 2 == 0, "note": self._text(5)} if place % 3 == 0 else None
            quantity = self._random.randint(1, 9)
            total = Decimal(self._random.randrange(10**8)).scaleb(-4)
            book, buyer = self._key("books"), self._key("users")
            yield self._uuid(), book, buyer, quantity, total, options, self._instant()

    def _measures(self) -> Row:
        random = self._random
        return (
            Decimal(random.randrange(10**6)).scaleb(-2),
            random.random() * 3,
            random.randint(30, 1500),
            self._details(),
            random.randbytes(random.randint(64, 256)),
            timedelta(microseconds=random.randrange(10**11)),
            random.random() < 0.9,  # noqa: PLR2004 - nine of ten
            self._instant(),
        )

    def _details(self) -> dict[str, Any]:
        random = self._random
        return {
            "isbn": f"{random.randrange(10**13):013d}",
            "languages": random.sample(["de", "en", "fr", "日本語", "português"], 2),
            "size": {"width": random.random() * 30, "height": random.randint(10, 40)},
            "remark": self._text(12),
        }

    def _key(self, table: str) -> int:
        return self._random.randint(1, self.counts[table])

    def _instant(self) -> datetime:
        return FIRST_DAY + timedelta(microseconds=self._random.randrange(DAYS * 86_400 * 10**6))

    def _uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(self._words, k=words))

    def _word(self) -> str:
        syllables = ("ba", "cel", "di", "fo", "gri", "ka", "lu", "mén", "no", "ris", "ta", "vö")
        return "".join(self._random.choices(syllables, k=self._random.randint(1, 4)))
