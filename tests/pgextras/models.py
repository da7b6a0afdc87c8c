"""A field of an extension, and one with a collation that takes different texts for equal."""

# ruff: noqa: DJ001 - rows with NULL in every column are what these models are for

from __future__ import annotations

from django.contrib.postgres.fields import HStoreField
from django.db import models


class Extra(models.Model):
    pairs = HStoreField(null=True)
    nickname = models.CharField(
        max_length=40, null=True, unique=True, db_collation="pgextras_ignoring_case"
    )

    class Meta:
        required_db_vendor = "postgresql"

    def __str__(self) -> str:
        return str(self.pk)
