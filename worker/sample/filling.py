"""The sample project's rows and files: the same seed gives the same site, to the last byte."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Model

from worker.sample.blog.models import Article, Comment, Tag
from worker.sample.crm.models import Call, Company, Deal, Employee, Person, Salesperson
from worker.sample.gallery.models import Album, Attachment, Document, Picture, Placement
from worker.sample.shop.models import Category, Customer, Order, OrderLine, Product
from worker.sample.values import Values

Paper = TypeVar("Paper", bound=Document)

BLOCK_BYTES = 4096
BATCH_ROWS = 500


@dataclass
class Site:
    """What is being made; each method fills one application from those before it."""

    values: Values
    media: Path
    scale: int = 1
    users: list[User] = field(default_factory=list)
    companies: list[Company] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    articles: list[Article] = field(default_factory=list)

    @property
    def random(self) -> Random:
        return self.values.random

    def fill_accounts(self) -> None:
        self.users = create(
            User(
                username=f"user{number:05}",
                first_name=self.values.words(1),
                email=f"user{number}@example.org",
                password=f"!{self.random.getrandbits(64):x}",
                date_joined=self.values.instant(),
                last_login=self.values.maybe(self.values.instant()),
                is_staff=number == 0,
                is_superuser=number == 0,
            )
            for number in range(50 * self.scale)
        )
        permissions = list(Permission.objects.order_by("content_type__model", "codename"))
        for name in ("editors", "sellers", "auditors"):
            group = Group.objects.create(name=name)
            group.permissions.set(self.values.some(permissions, 12))
            group.user_set.set(self.values.some(self.users, 20))
        self.users[1].user_permissions.set(self.values.some(permissions, 5))

    def fill_shop(self) -> None:
        categories = self._categories()
        self.products = create(
            Product(
                id=self.values.uuid(),
                name=self.values.words(3),
                price=self.values.amount(9, 4),
                weight=self.values.maybe(self.random.uniform(0.001, 90)),
                attributes=self.values.json(),
                is_sold=self.random.random() < 0.9,  # noqa: PLR2004
            )
            for _ in range(300 * self.scale)
        )
        link(Product.categories.through, "product", self.products, "category", categories, self)
        customers = self._customers()
        link(Customer.favourites.through, "customer", customers, "product", self.products, self)
        self._orders(customers)

    def _categories(self) -> list[Category]:
        made: list[Category] = []
        for number in range(30):
            parent = self.values.maybe(self.random.choice(made)) if made else None
            slug = f"category-{number}"
            made.append(Category.objects.create(slug=slug, name=slug.title(), parent=parent))
        return made

    def _customers(self) -> list[Customer]:
        made: list[Customer] = []
        for user in self.users[5:]:
            invited_by = self.values.maybe(self.random.choice(made)) if made else None
            born = self.values.maybe(date(1900, 1, 1) + timedelta(self.random.randrange(40_000)))
            made.append(Customer.objects.create(user=user, born=born, invited_by=invited_by))
        return made

    def _orders(self, customers: Sequence[Customer]) -> None:
        orders = create(
            Order(
                number=f"2026-{number:07}",
                customer=self.random.choice(customers),
                placed_at=self.values.instant(),
                total=self.values.amount(12, 2),
                address=self.values.text(1),
                note=self.random.choice([None, "", self.values.words(5)]),
            )
            for number in range(400 * self.scale)
        )
        create(
            OrderLine(
                order=order,
                product=product,
                quantity=self.random.randint(1, 9),
                unit_price=product.price,
            )
            for order in orders
            for product in self.random.sample(self.products, k=self.random.randint(1, 5))
        )

    def fill_blog(self) -> None:
        tags = create(Tag(name=f"{self.values.words(1)} {number}") for number in range(40))
        self.articles = create(
            Article(
                slug=f"article-{number}",
                title=self.values.words(6),
                author=self.random.choice(self.users),
                body=self.values.text(4),
                published_at=self.values.maybe(self.values.instant()),
                reading_time=self.values.maybe(self.values.duration()),
            )
            for number in range(200 * self.scale)
        )
        self._put_back_clocks(self.articles, "changed_at")
        link(Article.tags.through, "article", self.articles, "tag", tags, self)
        for article in self.random.sample(self.articles, k=len(self.articles) // 4):
            article.related.add(*self.values.some(self.articles, 2))
        self._comments()

    def _comments(self) -> None:
        made = create(
            Comment(
                subject=subject,
                author=self.values.maybe(self.random.choice(self.users)),
                text=self.values.text(1),
                address=self.random.choice([None, "192.0.2.7", "2001:db8::1"]),
            )
            for subject in self.random.choices([*self.articles, *self.products], k=500 * self.scale)
        )
        for comment in made[1::3]:
            comment.answers = made[0]
        Comment.objects.bulk_update(made[1::3], ["answers"], batch_size=BATCH_ROWS)
        self._put_back_clocks(made, "created_at")

    def _put_back_clocks(self, made: Sequence[Model], name: str) -> None:
        """Replace what `auto_now` wrote: it would differ from one filling to the next."""
        for row in made:
            setattr(row, name, self.values.instant())
        type(made[0])._base_manager.bulk_update(made, [name], batch_size=BATCH_ROWS)  # noqa: SLF001

    def fill_crm(self) -> None:
        self.companies = create(
            Company(
                id=self.values.uuid(),
                name=self.values.words(2),
                vat_number=self.values.maybe(f"EU{number:09}"),
                turnover=self.random.choice([None, 0, -(2**63), 2**63 - 1, number]),
            )
            for number in range(60 * self.scale)
        )
        people = create(self._person() for _ in range(150 * self.scale))
        for company in self.companies[::2]:
            company.contact = self.random.choice(people)
        Company.objects.bulk_update(self.companies[::2], ["contact"])
        self._deals([self._salesperson() for _ in range(10)])

    def _person(self) -> Person:
        return Person(
            name=self.values.words(2),
            email=f"{self.random.getrandbits(32):x}@example.org",
            company=self.values.maybe(self.random.choice(self.companies)),
            consent_at=self.values.maybe(self.values.instant()),
            portrait=self.random.choice([None, b"", self.random.randbytes(200)]),
        )

    def _salesperson(self) -> Salesperson:
        made = Salesperson.objects.create(
            name=self.values.words(2),
            hired_on=self.values.day(),
            begins_at=self.values.maybe(time(8, 30, 0, self.random.randrange(1_000_000))),
            salary=self.values.amount(8, 2),
            region=self.values.words(1),
            commission=self.values.amount(4, 4),
        )
        made.accounts.set(self.values.some(self.companies, 6))
        return made

    def _deals(self, owners: Sequence[Salesperson]) -> None:
        employees = [
            Employee.objects.create(
                name=self.values.words(2),
                hired_on=self.values.day(),
                salary=self.values.amount(8, 2),
                user=user,
            )
            for user in self.users[:5]
        ]
        deals = create(
            Deal(
                company=self.random.choice(self.companies),
                owner=self.random.choice(owners),
                stage=self.random.choice(Deal.Stage.values),
                amount=self.values.amount(14, 2),
                terms=self.values.maybe(self.values.json()),
                closes_on=self.values.maybe(self.values.day()),
            )
            for _ in range(150 * self.scale)
        )
        calls = create(
            Call(
                deal=self.random.choice(deals),
                began_at=self.values.instant(),
                lasted=self.values.duration(),
                summary=self.values.text(1),
            )
            for _ in range(200 * self.scale)
        )
        link(Call.callers.through, "call", calls, "employee", employees, self)

    def fill_gallery(self) -> None:
        documents = [self._document(Document, "txt") for _ in range(40 * self.scale)]
        pictures = [
            self._document(Picture, "jpg", width=640, height=480, exif=self.values.json())
            for _ in range(40 * self.scale)
        ]
        for number in range(8):
            shown = self.values.some(pictures, 12)
            album = Album.objects.create(name=f"Album {number}", cover=next(iter(shown), None))
            create(
                Placement(album=album, picture=picture, position=position)
                for position, picture in enumerate(shown)
            )
        subjects = [*self.companies, *self.products]
        create(
            Attachment(document=document, subject=self.random.choice(subjects))
            for document in documents
        )
        self._loose_files()

    def _document(self, kind: type[Paper], ending: str, **columns: Any) -> Paper:
        name = f"{self.values.words(2).replace('/', '-')} {self.random.getrandbits(40):x}.{ending}"
        uploaded_at = self.values.instant()
        path = f"documents/{uploaded_at:%Y/%m}/{name}"
        return kind._base_manager.create(  # noqa: SLF001
            title=name,
            file=path,
            owner=self.random.choice(self.users),
            size=self._write(path, ending),
            uploaded_at=uploaded_at,
            **columns,
        )

    def _write(self, path: str, ending: str) -> int:
        """A file of words, or of noise as a photo is; never a moment of today in it."""
        if ending == "txt":
            content = self.values.text(self.random.randint(0, 40)).encode()
        else:
            content = self.random.randbytes(BLOCK_BYTES * self.random.randint(1, 24))
        target = self.media / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self._put_back_clock_of(target)
        return len(content)

    def _put_back_clock_of(self, path: Path) -> None:
        moment = self.values.instant().timestamp()
        os.utime(path, (moment, moment))

    def _loose_files(self) -> None:
        """Files that no row knows, an empty one, and an empty directory."""
        for number in range(10):
            self._write(f"cache/thumbnails/{number:02}.webp", "webp")
        (self.media / "cache" / "empty").write_bytes(b"")
        self._put_back_clock_of(self.media / "cache" / "empty")
        (self.media / "incoming").mkdir(parents=True, exist_ok=True)


def create(rows: Iterable[Any]) -> list[Any]:
    """Insert rows of one model; they come back with their keys."""
    made = list(rows)
    if not made:
        return []
    return list(type(made[0])._base_manager.bulk_create(made, batch_size=BATCH_ROWS))  # noqa: SLF001


def link(
    through: type[models.Model],
    left: str,
    left_rows: Sequence[Model],
    right: str,
    right_rows: Sequence[Model],
    site: Site,
) -> None:
    """Tie each row on the left to up to four on the right."""
    create(
        through(**{f"{left}_id": row.pk, f"{right}_id": other.pk})
        for row in left_rows
        for other in site.values.some(right_rows, 4)
    )


def fill(*, media: Path, seed: int, scale: int) -> None:
    """Fill an empty, migrated site."""
    ContentType.objects.clear_cache()
    site = Site(values=Values(Random(seed)), media=media, scale=scale)  # noqa: S311
    site.fill_accounts()
    site.fill_shop()
    site.fill_blog()
    site.fill_crm()
    site.fill_gallery()
