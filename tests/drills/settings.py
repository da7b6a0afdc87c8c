"""A site whose router, models, migrations, check and settings all lead to the live database."""

from __future__ import annotations

import os

from worker.databases import django_database
from worker.settings import *  # noqa: F403
from worker.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.drills.stubborn"]
DATABASE_ROUTERS = ["tests.drills.stubborn.routers.Everything"]
DISKETTE_DRILL_CHECK = os.environ.get("DISKETTE_DRILL_CHECK")
if given := os.environ.get("TEST_SCRATCH_URL"):
    DATABASES["scratch"] = django_database(given)
    DISKETTE_SCRATCH_DATABASE = "scratch"
