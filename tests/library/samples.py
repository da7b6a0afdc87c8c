"""A library with something on every shelf: at least one row in each table."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.db.models import JSONField, Value

from tests.library import models as library
from tests.library.fields import Point

AT = dt.datetime(2026, 10, 25, 0, 30, 0, 123456, tzinfo=dt.UTC)

TEXTS = (
    "",
    "null",
    "-",
    "\\N",
    'say "no"\\',
    "tab\tline\nend\r",
    "é😀\u2028\x7f\x01",
    " x ",
    "%s {0}",
)

SPECIMENS: tuple[dict[str, Any], ...] = (
    {},
    {
        "big_integer": -(2**63),
        "binary": bytes(range(256)),
        "boolean": False,
        "char": 'a "quoted" \\ tab\t newline\n é😀',
        "date": dt.date(1, 1, 1),
        "instant": AT,
        "decimal": Decimal("12345.1234567890"),
        "small_decimal": Decimal("-0.100"),
        "duration": dt.timedelta(days=-3, microseconds=1),
        "email": "a@example.com",
        "file": "specimens/é a.txt",
        "file_path": "/etc/hosts",
        "float": 0.1 + 0.2,
        "integer": -(2**31),
        "ip": "2001:db8::1",
        "ip4": "10.0.0.1",
        "json": {"b": [1, 2.5, "x\n", None, {"ключ": True}], "a": {}, "n": 2**80},
        "encoded_json": [],
        "positive_big_integer": 2**63 - 1,
        "positive_integer": 2**31 - 1,
        "positive_small_integer": 32767,
        "slug": "a-slug",
        "small_integer": -32768,
        "text": "null",
        "time": dt.time(23, 59, 59, 999999),
        "url": "https://example.com/?q=%20",
        "uuid": uuid.UUID(int=1),
        "point": Point(-1, 2),
        "shouted": "LOUD",
        "words": ("a", "b"),
    },
    {
        "big_integer": 2**63 - 1,
        "binary": b"",
        "boolean": True,
        "char": "",
        "date": dt.date(9999, 12, 31),
        "instant": AT + dt.timedelta(hours=1),
        "decimal": Decimal(0),
        "small_decimal": Decimal("999.999"),
        "duration": dt.timedelta(days=400, seconds=1),
        "float": 1e300,
        "ip": "::ffff:10.0.0.1",
        "json": Value(None, JSONField()),
        "encoded_json": "a string",
        "time": dt.time(0),
        "text": "\u2028",
        "words": (),
    },
)


def fill(using: str) -> None:
    """Rows for every table of the library, and for users and groups."""
    user, group = _people(using)
    books = _books(using, user)
    _loans(using, books, user)
    _notes(using, books, group)
    _places(using, books, user)
    _keys(using)
    _values(using)
    if connections[using].vendor == "postgresql":
        _postgresql(using)


def _people(using: str) -> tuple[User, Group]:
    user = User(username="ann", password="!", last_login=AT, date_joined=AT)
    user.save(using=using)
    other = User(username="bob é", password="!", date_joined=AT)
    other.save(using=using)
    group = Group(name="readers")
    group.save(using=using)
    user.groups.add(group)
    permission = Permission.objects.using(using).get(codename="add_book")
    user.user_permissions.add(permission)
    group.permissions.add(permission)
    return user, group


def _books(using: str, user: User) -> list[library.Book]:
    create = _creator(using)
    publisher = create(library.Publisher, name="Pub & Sons", founded=dt.date(1900, 1, 1))
    series = create(library.Series, publisher=publisher, title="Tales")
    mentor = create(library.Author, name="Old")
    author = create(library.Author, name="Young", mentor=mentor)
    create(library.Author, name="Own master", pk=mentor.pk + 10, mentor_id=mentor.pk + 10)
    author.friends.add(mentor)
    author.follows.add(mentor)
    genre = create(library.Genre, name="crime")
    books = [
        create(library.Book, title=f"Title {text}", isbn=f"isbn {n}", series=series, owner=user)
        for n, text in enumerate(TEXTS)
    ]
    library.Book.objects.using(using).update(created_at=AT, changed_at=AT)
    books[0].genres.add(genre)
    library.Book.objects.using(using).filter(pk=books[0].pk).update(
        price=Decimal("10.10"), cover="covers/a.png"
    )
    create(library.Contribution, book=books[0], author=author, invited_by=mentor)
    for title in ("one", "two"):
        create(library.Chapter, book=books[0], title=title)
    country = create(library.Country, name="Land")
    country.capital = create(library.City, name="Town", country=country)
    country.save(using=using)
    return books


def _loans(using: str, books: list[library.Book], user: User) -> None:
    create = _creator(using)
    create(library.Loan, book=books[1], formerly_id=4711)
    card = create(library.Card, user=user, number=1)
    create(library.Stamp, card=card, at=dt.time(12, 0, 0, 500))


def _notes(using: str, books: list[library.Book], group: Group) -> None:
    create = _creator(using)
    for subject in (books[0], group):
        kind = ContentType.objects.db_manager(using).get_for_model(subject)
        create(library.Note, content_type=kind, object_id=str(subject.pk), text="about")
    permission = Permission.objects.using(using).get(codename="change_book")
    kind = ContentType.objects.db_manager(using).get_for_model(library.Book)
    role = create(library.Role, name="editor", permission=permission, about=kind)
    role.permissions.add(permission)
    role.kinds.add(kind)
    create(library.Role, name="nobody")


def _places(using: str, books: list[library.Book], user: User) -> None:
    create = _creator(using)
    hall = create(library.Place, name="Hall", opened_at=AT)
    branch = create(library.Branch, name="North", manager=user)
    branch.books.add(books[0])
    van = create(library.MobileBranch, name="Van", plate="X 1")
    create(library.Stop, van=van, minute=-5)
    create(library.Seat, room=hall, number=1, shelf="B2")
    create(library.Seat, room=branch, number=-2)


def _keys(using: str) -> None:
    create = _creator(using)
    first = create(library.Ticket, id=uuid.UUID(int=2**128 - 1))
    second = create(library.Ticket, id=uuid.UUID(int=2**64), follows=first)
    second.genres.add(*library.Genre.objects.using(using).all())
    code = create(library.Code, code="X-17")
    create(library.Coded, code=code)
    mark = create(library.Mark)
    for word in ("a b", "A B", "a/b", "é"):
        create(library.Word, word=word)
    create(library.Word, word=" blank ", means_id="a/b")
    odd = create(library.Odd, order=1, size=1.5, select=library.Genre.objects.using(using).get())
    odd.marks.add(mark)


def _values(using: str) -> None:
    create = _creator(using)
    for hidden in (False, True):
        create(library.Draft, title="draft", hidden=hidden)
        create(library.Secret, title="secret", hidden=hidden)
    create(library.Small, name="")
    for specimen in SPECIMENS:
        create(library.Specimen, **specimen)


def _postgresql(using: str) -> None:
    from django.db.backends.postgresql.psycopg_any import DateRange, DateTimeTZRange, NumericRange

    from tests.pglibrary import models as pglibrary

    create = _creator(using)
    create(pglibrary.PostgresSpecimen)
    create(
        pglibrary.PostgresSpecimen,
        integers=[1, None, -3],
        words=['a,"b', None, "", "NULL", "\\"],
        instants=[AT],
        decimals=[Decimal("1.50000")],
        nested=[[1, 2], [3, 4]],
        uuids=[uuid.UUID(int=5)],
        integer_range=NumericRange(1, 5),
        big_range=NumericRange(None, 2**40),
        decimal_range=NumericRange(Decimal("1.5"), Decimal("2.5"), "[]"),
        date_range=DateRange(dt.date(2026, 1, 1), None),
        instant_range=DateTimeTZRange(AT, AT + dt.timedelta(hours=2)),
        search="'fat':1 'cat':2",
    )
    create(pglibrary.PostgresSpecimen, integers=[], words=[], integer_range="empty")
    create(pglibrary.Booking, room=1, during=DateTimeTZRange(AT, AT + dt.timedelta(hours=2)))
    if apps.is_installed("tests.pgextras"):
        from tests.pgextras.models import Extra

        create(Extra)
        create(Extra, pairs={"a": "1", "b": None, 'q"': "\n"}, nickname="Ann")
        create(Extra, pairs={}, nickname="")


def _creator(using: str) -> Any:
    def create(model: type[models.Model], **values: Any) -> Any:
        instance = model(**values)
        instance.save(using=using, force_insert=True)
        return instance

    return create
