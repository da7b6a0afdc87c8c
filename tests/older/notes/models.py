from __future__ import annotations

from django.db import models


class Note(models.Model):
    """Its text was called text; what made it so was squashed, and the parts are gone."""

    body = models.TextField()

    def __str__(self) -> str:
        return self.body
