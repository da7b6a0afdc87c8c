"""The smallest project that has Diskette, with the awkward library.

Read by pytest, whose plugin `tests.session` wrote the environment before, and by mypy and
django-admin, which need no server and get the placeholders.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.servers import DEFAULT, DIRECTORY, EXTRAS, POSTGRES, django_database, mariadb_url

DIRECTORY_PATH = Path(os.environ.get(DIRECTORY, "var/tests"))

SECRET_KEY = "tests"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django_celery_results",
    "diskette",
    "tests.library",
    "tests.pglibrary",
]
if {"hstore", "icu"} <= set(os.environ.get(EXTRAS, "hstore icu").split()):
    INSTALLED_APPS.append("tests.pgextras")
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
DATABASES = {
    # Django's own defaults otherwise: a project that never heard of IMMEDIATE must work.
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DIRECTORY_PATH / "site.sqlite3",
        "OPTIONS": {"timeout": 20},
        "TEST": {"NAME": str(DIRECTORY_PATH / "test.sqlite3")},
    },
    "postgresql": {
        **django_database(os.environ.get(POSTGRES, "postgresql://localhost/postgres")),
        # The session's directory has a name of its own, so two sessions may share a server.
        "TEST": {"NAME": f"test_{DIRECTORY_PATH.name}"},
    },
}
if url := mariadb_url():
    DATABASES["mariadb"] = {
        **django_database(url),
        "TEST": {
            "NAME": f"test_{DIRECTORY_PATH.name}",
            "CHARSET": "utf8mb4",
            "COLLATION": "utf8mb4_bin",
        },
    }
if default := os.environ.get(DEFAULT):
    DATABASES["default"] = DATABASES.pop(default)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
DISKETTE_LABEL = "tests"
