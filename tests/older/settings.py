"""A site whose applications have a past: each migration does what the next release had to."""

from __future__ import annotations

import os

from worker.databases import django_database
from worker.settings import *  # noqa: F403
from worker.settings import DATABASES
from worker.settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "tests.older.store", "tests.older.notes"]
if given := os.environ.get("TEST_SCRATCH_URL"):
    DATABASES["scratch"] = django_database(given)
    DISKETTE_SCRATCH_DATABASE = "scratch"
