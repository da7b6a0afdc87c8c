"""As they are after every migration."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Colour(models.Model):
    """Was a text of each product."""

    name = models.CharField(max_length=20, unique=True)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    title = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=9, decimal_places=2)
    stock = models.IntegerField()
    colour = models.ForeignKey(Colour, null=True, on_delete=models.PROTECT)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return self.title


class Customer(models.Model):
    first = models.CharField(max_length=30)
    last = models.CharField(max_length=30)
    email = models.EmailField(unique=True)

    def __str__(self) -> str:
        return self.last


class Purchase(models.Model):
    """Was called Order."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    items = models.ManyToManyField(Product)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.pk)


class Tag(models.Model):
    word = models.CharField(max_length=20)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.IntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["word", "content_type", "object_id"], name="one_tag_for_each"
            )
        ]

    def __str__(self) -> str:
        return self.word
