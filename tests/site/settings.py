"""The site's settings, all from the environment, and the tests' applications beside."""

from __future__ import annotations

import os

from tests.servers import EXTRAS
from worker.settings import *  # noqa: F403
from worker.settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "django.contrib.postgres", "tests.library", "tests.pglibrary"]
if {"hstore", "icu"} <= set(os.environ.get(EXTRAS, "hstore icu").split()):
    INSTALLED_APPS.append("tests.pgextras")
