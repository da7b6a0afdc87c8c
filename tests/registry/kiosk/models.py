"""Relations of every kind, in an order that does not load as it stands."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import models

# ruff: noqa: DJ008 - no one looks at these rows: there are none


class Remark(models.Model):
    """Belongs to any row."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.TextField()
    subject = GenericForeignKey()


class Ware(models.Model):
    shelf = models.ForeignKey("Shelf", models.CASCADE)
    seller = models.ForeignKey("auth.User", models.SET_NULL, null=True)
    tags = models.ManyToManyField("Tag")
    remarks = GenericRelation(Remark)


class Shelf(models.Model):
    """Needed by wares; its favourite ware may be missing."""

    favourite = models.ForeignKey(Ware, models.SET_NULL, null=True, related_name="+")


class Tag(models.Model):
    name = models.CharField(max_length=20, unique=True)
    sees = models.ManyToManyField(Permission)

    def natural_key(self) -> tuple[str]:
        return (self.name,)

    natural_key.dependencies = ["kiosk.maker", "missing.Model"]  # type: ignore[attr-defined]


class Maker(models.Model):
    """Nothing but the tags' natural key refers to it."""


class Offer(Ware):
    """A table of its own, below another one's."""


class CheapWare(Ware):
    class Meta:
        proxy = True


class Legacy(models.Model):
    """A table that is not Django's, with one that Django would make if it were."""

    tags = models.ManyToManyField(Tag)

    class Meta:
        managed = False


class Cart(models.Model):
    wares = models.ManyToManyField(Ware)

    class Meta:
        swappable = "KIOSK_CART_MODEL"


class Visit(models.Model):
    """Refers to what is never dumped."""

    session = models.ForeignKey(Session, models.CASCADE)


class Vault(models.Model):
    """Only where PostgreSQL is."""

    class Meta:
        required_db_vendor = "postgresql"


class Egg(models.Model):
    """Half of a circle that no order can cut."""

    hen = models.ForeignKey("Hen", models.CASCADE)


class Hen(models.Model):
    egg = models.ForeignKey(Egg, models.CASCADE)
