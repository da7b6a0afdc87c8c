"""Slugs, an automatic many-to-many table, relations to itself, comments on anything."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Tag(models.Model):
    name = models.CharField(max_length=40, unique=True)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    slug = models.SlugField(max_length=120, unique=True)
    title = models.CharField(max_length=200)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="articles")
    body = models.TextField()
    tags = models.ManyToManyField(Tag, related_name="articles", blank=True)
    related = models.ManyToManyField("self", blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(auto_now=True)
    reading_time = models.DurationField(null=True, blank=True)
    comments = GenericRelation("blog.Comment", "object_id")

    class Meta:
        ordering: ClassVar = ["-published_at"]

    def __str__(self) -> str:
        return self.title


class Comment(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.CharField(max_length=64)
    subject = GenericForeignKey()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    answers = models.ForeignKey("self", models.CASCADE, null=True, blank=True)
    text = models.TextField()
    address = models.GenericIPAddressField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["content_type", "object_id"], name="blog_comment_subject")
        ]

    def __str__(self) -> str:
        return self.text[:40]
