"""Trees, UUID keys, money, JSON, a many-to-many relation with a table of its own."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.contenttypes.fields import GenericRelation
from django.db import models


class CategoryManager(models.Manager["Category"]):
    def get_by_natural_key(self, slug: str) -> Category:
        return self.get(slug=slug)


class Category(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    parent = models.ForeignKey(
        "self", models.CASCADE, null=True, blank=True, related_name="children"
    )

    objects = CategoryManager()

    class Meta:
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name

    def natural_key(self) -> tuple[str]:
        return (self.slug,)


class VisibleProducts(models.Manager["Product"]):
    """Hides what is no longer sold; a backup must not lose it."""

    def get_queryset(self) -> models.QuerySet[Product]:
        return super().get_queryset().filter(is_sold=True)


class Product(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    price = models.DecimalField(max_digits=12, decimal_places=4)
    weight = models.FloatField(null=True, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    categories = models.ManyToManyField(Category, related_name="products")
    is_sold = models.BooleanField(default=True)
    reviews = GenericRelation("blog.Comment", "object_id")

    objects = VisibleProducts()

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True)
    born = models.DateField(null=True, blank=True)
    favourites = models.ManyToManyField(Product, blank=True)
    invited_by = models.ForeignKey("self", models.SET_NULL, null=True, blank=True)

    def __str__(self) -> str:
        return str(self.user)


class Order(models.Model):
    number = models.CharField(max_length=20, unique=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="orders")
    products = models.ManyToManyField(Product, through="OrderLine")
    placed_at = models.DateTimeField()
    total = models.DecimalField(max_digits=14, decimal_places=2)
    address = models.TextField(blank=True)
    note = models.TextField(null=True, blank=True)  # noqa: DJ001 - nothing said is not ""

    class Meta:
        ordering: ClassVar = ["-placed_at"]

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveSmallIntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=4)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "product"], name="shop_orderline_once")
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of order {self.order}"
