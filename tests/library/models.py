"""One of everything: each model says which awkwardness it is here for."""

# ruff: noqa: DJ001 - rows with NULL in every column are what these models are for

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Length

from tests.library.fields import CodeField, PointField, ShoutedField, WordsField

# Relations


class PublisherManager(models.Manager["Publisher"]):
    def get_by_natural_key(self, name: str) -> Publisher:
        return self.get(name=name)


class Publisher(models.Model):
    """A natural key."""

    name = models.CharField(max_length=80, unique=True)
    founded = models.DateField(null=True)

    objects = PublisherManager()

    def __str__(self) -> str:
        return self.name

    def natural_key(self) -> tuple[str]:
        return (self.name,)


class SeriesManager(models.Manager["Series"]):
    def get_by_natural_key(self, publisher: str, title: str) -> Series:
        return self.get(publisher__name=publisher, title=title)


class Series(models.Model):
    """A natural key that goes through another one's."""

    publisher = models.ForeignKey(Publisher, models.CASCADE)
    title = models.CharField(max_length=80)

    objects = SeriesManager()

    class Meta:
        verbose_name_plural = "series"
        constraints = [
            models.UniqueConstraint(fields=["publisher", "title"], name="library_series_natural")
        ]

    def __str__(self) -> str:
        return self.title

    def natural_key(self) -> tuple[Any, ...]:
        return (*self.publisher.natural_key(), self.title)

    natural_key.dependencies = ["library.publisher"]  # type: ignore[attr-defined]


class Author(models.Model):
    """A self-referring foreign key that may not be null in a loop, and symmetrical friends."""

    name = models.CharField(max_length=80)
    mentor = models.ForeignKey("self", models.SET_NULL, null=True, related_name="pupils")
    friends = models.ManyToManyField("self")
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")

    def __str__(self) -> str:
        return self.name


class Country(models.Model):
    """One half of a circle of foreign keys."""

    name = models.CharField(max_length=80)
    capital = models.ForeignKey("City", models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return self.name


class City(models.Model):
    """The other half, which may not be null."""

    name = models.CharField(max_length=80)
    country = models.ForeignKey(Country, models.CASCADE)

    def __str__(self) -> str:
        return self.name


class Genre(models.Model):
    name = models.SlugField(unique=True)

    def __str__(self) -> str:
        return self.name


class Book(models.Model):
    """The centre: every kind of relation, instants that set themselves, a file."""

    title = models.CharField(max_length=200)
    isbn = models.CharField(max_length=20, unique=True)
    series = models.ForeignKey(Series, models.SET_NULL, null=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    genres = models.ManyToManyField(Genre)
    contributors = models.ManyToManyField(
        Author, through="Contribution", through_fields=("book", "author"), related_name="books"
    )
    price = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    cover = models.FileField(upload_to="covers", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    title_length = models.GeneratedField(
        expression=Length("title"), output_field=models.IntegerField(), db_persist=True
    )
    notes = GenericRelation("library.Note", object_id_field="object_id")

    class Meta:
        indexes = [models.Index(fields=["title"], name="library_book_title")]
        constraints = [
            models.CheckConstraint(condition=models.Q(price__gte=0), name="library_book_price")
        ]

    def __str__(self) -> str:
        return self.title


class Contribution(models.Model):
    """A through model with data of its own and a second key to the same model."""

    book = models.ForeignKey(Book, models.CASCADE)
    author = models.ForeignKey(Author, models.CASCADE)
    invited_by = models.ForeignKey(Author, models.SET_NULL, null=True, related_name="+")
    role = models.CharField(max_length=20, default="author")

    class Meta:
        unique_together = [("book", "author", "role")]

    def __str__(self) -> str:
        return f"{self.author_id} in {self.book_id}"


class Chapter(models.Model):
    """An order that Django keeps in a hidden column."""

    book = models.ForeignKey(Book, models.CASCADE)
    title = models.CharField(max_length=80)

    class Meta:
        order_with_respect_to = "book"

    def __str__(self) -> str:
        return self.title


class Loan(models.Model):
    """A foreign key to a field that is not the primary key, and one without a constraint."""

    book = models.ForeignKey(Book, models.CASCADE, to_field="isbn", db_column="isbn")
    formerly = models.ForeignKey(
        Book, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    due = models.DateField(default=dt.date(2026, 1, 1))

    def __str__(self) -> str:
        return f"{self.book_id} until {self.due}"


class Card(models.Model):
    """A one-to-one relation that is the primary key."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True)
    number = models.PositiveIntegerField(unique=True)

    def __str__(self) -> str:
        return str(self.number)


class Stamp(models.Model):
    """A foreign key to a key that is itself a foreign key."""

    card = models.ForeignKey(Card, models.CASCADE)
    at = models.TimeField()

    def __str__(self) -> str:
        return str(self.at)


class Note(models.Model):
    """A generic foreign key."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.CharField(max_length=40)
    subject = GenericForeignKey("content_type", "object_id")
    text = models.TextField()

    def __str__(self) -> str:
        return self.text


class Role(models.Model):
    """Foreign keys to permissions and content types, one by one and many to many."""

    name = models.CharField(max_length=40)
    permission = models.ForeignKey(Permission, models.SET_NULL, null=True, related_name="+")
    about = models.ForeignKey(ContentType, models.SET_NULL, null=True, related_name="+")
    permissions = models.ManyToManyField(Permission, related_name="+")
    kinds = models.ManyToManyField(ContentType, related_name="+")

    def __str__(self) -> str:
        return self.name


# Inheritance


class Place(models.Model):
    name = models.CharField(max_length=80)
    opened_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class Branch(Place):
    """A child in a table of its own."""

    manager = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    books = models.ManyToManyField(Book)


class MobileBranch(Branch):
    """A grandchild, whose link to its parent has a name of its own."""

    base = models.OneToOneField(Branch, models.CASCADE, parent_link=True, related_name="mobile")
    plate = models.CharField(max_length=20, unique=True)


class Stop(models.Model):
    """A foreign key to a grandchild."""

    van = models.ForeignKey(MobileBranch, models.CASCADE)
    minute = models.SmallIntegerField()

    def __str__(self) -> str:
        return str(self.minute)


class Stored(models.Model):
    """An abstract parent."""

    shelf = models.CharField(max_length=10, default="A1")

    class Meta:
        abstract = True


# Keys


class Ticket(models.Model):
    """A UUID for a key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    follows = models.ForeignKey("self", models.SET_NULL, null=True)
    genres = models.ManyToManyField(Genre)

    def __str__(self) -> str:
        return str(self.id)


class Seat(Stored):
    """A key of two columns, one of them a foreign key."""

    pk = models.CompositePrimaryKey("room", "number")
    room = models.ForeignKey(Place, models.CASCADE)
    number = models.IntegerField()
    taken_by = models.ForeignKey(Author, models.SET_NULL, null=True)

    def __str__(self) -> str:
        return f"{self.room_id}/{self.number}"


class Code(models.Model):
    """A key of a project's own kind."""

    code = CodeField(primary_key=True, max_length=12)

    def __str__(self) -> str:
        return self.code


class Coded(models.Model):
    """A foreign key to it."""

    code = models.ForeignKey(Code, models.CASCADE)

    def __str__(self) -> str:
        return str(self.code_id)


class Mark(models.Model):
    """Nothing but a key."""

    def __str__(self) -> str:
        return str(self.pk)


class Word(models.Model):
    """A textual key that must keep its case, blanks and slashes."""

    word = models.CharField(max_length=80, primary_key=True)
    means = models.ForeignKey("self", models.SET_NULL, null=True, related_name="synonyms")

    def __str__(self) -> str:
        return self.word


# Managers


class VisibleManager(models.Manager["Draft"]):
    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(hidden=False)


class Draft(models.Model):
    """Its default manager hides rows."""

    title = models.CharField(max_length=80)
    hidden = models.BooleanField(default=False)

    objects = VisibleManager()
    everything: models.Manager[Draft] = models.Manager()

    def __str__(self) -> str:
        return self.title


class Secret(models.Model):
    """Even its base manager hides rows."""

    title = models.CharField(max_length=80)
    hidden = models.BooleanField(default=False)

    objects = VisibleManager()
    everything: models.Manager[Secret] = models.Manager()

    class Meta:
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.title


class Bargain(Book):
    """A proxy."""

    class Meta:
        proxy = True


class Ledger(models.Model):
    """A table that is not Django's."""

    total = models.IntegerField()

    class Meta:
        managed = False
        db_table = "library_ledger_elsewhere"

    def __str__(self) -> str:
        return str(self.total)


# Values


class Specimen(models.Model):
    """Every stock field, each may be null."""

    big_integer = models.BigIntegerField(null=True)
    binary = models.BinaryField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=200, null=True)
    date = models.DateField(null=True)
    instant = models.DateTimeField(null=True)
    decimal = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    small_decimal = models.DecimalField(max_digits=6, decimal_places=3, null=True)
    duration = models.DurationField(null=True)
    email = models.EmailField(null=True)
    file = models.FileField(upload_to="specimens", null=True)
    file_path = models.FilePathField(path="/", null=True)
    float = models.FloatField(null=True)
    integer = models.IntegerField(null=True)
    ip = models.GenericIPAddressField(null=True)
    ip4 = models.GenericIPAddressField(protocol="IPv4", null=True)
    json = models.JSONField(null=True)
    encoded_json = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    positive_big_integer = models.PositiveBigIntegerField(null=True)
    positive_integer = models.PositiveIntegerField(null=True)
    positive_small_integer = models.PositiveSmallIntegerField(null=True)
    slug = models.SlugField(null=True)
    small_integer = models.SmallIntegerField(null=True)
    text = models.TextField(null=True)
    time = models.TimeField(null=True)
    url = models.URLField(null=True)
    uuid = models.UUIDField(null=True)
    point = PointField(null=True)
    shouted = ShoutedField(max_length=40, null=True)
    words = WordsField(null=True)
    stamped = models.DateTimeField(db_default=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))

    def __str__(self) -> str:
        return str(self.pk)


class Small(models.Model):
    """The small automatic key, and defaults that differ from what the rows hold."""

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(max_length=20, default="unnamed")
    color = models.TextField(choices=[("r", "red"), ("g", "green")], default="r")
    size = models.IntegerField(choices=[(1, "small"), (2, "large")], default=1)

    def __str__(self) -> str:
        return self.name


class Odd(models.Model):
    """Names that need quoting, and columns called otherwise than their fields."""

    key = models.AutoField(primary_key=True, db_column="Primary Key")
    order = models.IntegerField(db_column="order")
    size = models.FloatField(db_column="Größe (cm)")
    select = models.ForeignKey(Genre, models.SET_NULL, null=True, db_column="from.where-to")
    marks = models.ManyToManyField(Mark, db_table="Odd marks & more")
    share = models.IntegerField(null=True, db_column="per cent; --")
    pk_like = models.CharField(max_length=10, default="", db_column="ID")

    class Meta:
        db_table = "Library.Odd table-é"

    def __str__(self) -> str:
        return str(self.key)
