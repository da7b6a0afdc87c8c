"""Rows of today, to be replaced; and the user that the archive's rows may refer to."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management import BaseCommand

from tests.older.notes.models import Note
from tests.older.store.models import Colour, Product


class Command(BaseCommand):
    """Of one seed only."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seed", type=int)

    def handle(self, *_: Any, **__: Any) -> None:
        User.objects.create(pk=1, username="eva")
        Product.objects.create(
            title="Of today", price=1, stock=1, colour=Colour.objects.create(name="grey")
        )
        Note.objects.create(body="Of today")
