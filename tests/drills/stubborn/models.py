"""Models that say which database they mean, whoever asks."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models


class StubbornManager(models.Manager):
    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().using("default")

    def get_by_natural_key(self, name: str) -> Note:
        return Note.objects.using("default").get(name=name)


class Note(models.Model):
    name = models.CharField(max_length=50, unique=True)

    objects: ClassVar = StubbornManager()

    class Meta:
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.name

    def save(self, **options: Any) -> None:
        super().save(**options | {"using": "default"})

    def natural_key(self) -> tuple[str]:
        return (self.name,)


class Remark(models.Model):
    note = models.ForeignKey(Note, on_delete=models.CASCADE)
    text = models.CharField(max_length=50)

    objects: ClassVar = StubbornManager()

    def __str__(self) -> str:
        return self.text
