"""A bookshop with a column of every common kind."""

from __future__ import annotations

from uuid import uuid4

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Tag(models.Model):
    name = models.CharField(max_length=40, unique=True)

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, unique=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")

    def __str__(self) -> str:
        return self.name


class Author(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    name = models.CharField(max_length=120)
    email = models.EmailField()
    born = models.DateField(null=True)
    biography = models.TextField()

    def __str__(self) -> str:
        return self.name


class Book(models.Model):
    title = models.CharField(max_length=200)
    body = models.TextField()
    author = models.ForeignKey(Author, models.PROTECT, related_name="books")
    category = models.ForeignKey(Category, models.PROTECT, related_name="books")
    editor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="edited")
    sequel_of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="sequels")
    tags = models.ManyToManyField(Tag, related_name="books")
    price = models.DecimalField(max_digits=10, decimal_places=2)
    weight = models.FloatField()
    pages = models.PositiveIntegerField()
    details = models.JSONField(default=dict)
    thumbnail = models.BinaryField()
    reading_time = models.DurationField(null=True)
    is_available = models.BooleanField(default=True)
    published_at = models.DateTimeField(db_index=True)
    reviews = GenericRelation("catalogue.Review", "object_id")

    def __str__(self) -> str:
        return self.title


class Review(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    subject = GenericForeignKey("content_type", "object_id")
    writer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reviews")
    stars = models.PositiveSmallIntegerField()
    text = models.TextField()
    written_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["content_type", "object_id"])]

    def __str__(self) -> str:
        return f"{self.stars} stars"


class Sale(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid4)
    book = models.ForeignKey(Book, models.PROTECT, related_name="sales")
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="purchases")
    quantity = models.IntegerField()
    total = models.DecimalField(max_digits=12, decimal_places=4)
    options = models.JSONField(null=True)
    sold_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.total)
