"""Settings of a project that has the original Diskette, from an environment of its own.

Nothing here, nor in what it imports, may import ours.
"""

from __future__ import annotations

import os
from pathlib import Path

from diskette.settings import *  # noqa: F403 - how the original wants it

BASE = Path(os.environ["ORIGINAL_BASE"])
SECRET_KEY = "original"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "diskette",
    "tests.library",
    "tests.original",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "site.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
DISKETTE_DUMP_PATH = BASE / "archives"
DISKETTE_STORAGES = [BASE / "media", BASE / "var" / "media", BASE / "empty"]
for storage in DISKETTE_STORAGES:
    storage.mkdir(parents=True, exist_ok=True)
DISKETTE_STORAGES_EXCLUDES = ["*.tmp"]
