"""Files on disk with rows about them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Document(models.Model):
    title = models.CharField(max_length=160)
    file = models.FileField(upload_to="documents/%Y/%m", max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="documents")
    size = models.PositiveBigIntegerField()
    uploaded_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.title


class Picture(Document):
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    exif = models.JSONField(null=True, blank=True)


class Album(models.Model):
    name = models.CharField(max_length=80)
    cover = models.ForeignKey(Picture, models.SET_NULL, null=True, blank=True, related_name="+")
    pictures = models.ManyToManyField(Picture, through="Placement", related_name="albums")

    def __str__(self) -> str:
        return self.name


class Placement(models.Model):
    album = models.ForeignKey(Album, models.CASCADE)
    picture = models.ForeignKey(Picture, models.CASCADE)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering: ClassVar = ["album", "position"]
        unique_together = (("album", "position"),)

    def __str__(self) -> str:
        return f"{self.position} in {self.album}"


class Attachment(models.Model):
    """Any document, attached to anything."""

    document = models.ForeignKey(Document, models.CASCADE, related_name="attachments")
    content_type = models.ForeignKey(ContentType, models.PROTECT)
    object_id = models.CharField(max_length=64)
    subject = GenericForeignKey()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["document", "content_type", "object_id"], name="gallery_attachment_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.document} on {self.object_id}"
