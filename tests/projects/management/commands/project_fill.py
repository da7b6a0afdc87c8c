"""Fill the project of the settings with rows and files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from random import Random

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from tests.projects import clocks
from worker.sample.values import Values


class Command(BaseCommand):
    help = "Fill this empty, migrated site; the same seed makes the same rows and files."

    def add_arguments(self, parser):
        parser.add_argument("--seed", type=int, default=1, help="another seed, other values")

    def handle(self, *, seed, **_):
        filling = import_module(settings.FILLING)
        values = Values(Random(seed))
        with transaction.atomic():
            filling.fill(values)
            clocks.put_back(values, [Path(each) for each in settings.DISKETTE_STORAGES])
