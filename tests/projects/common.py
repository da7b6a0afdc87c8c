"""What the settings of all projects have in common."""

from __future__ import annotations

import json
import os
from pathlib import Path

from worker.databases import django_database

DIRECTORY = Path(os.environ["DISKETTE_VAR"])
DATABASES = {"default": django_database(os.environ["DATABASE_URL"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "made up"
USE_TZ = True
TIME_ZONE = "Europe/Prague"
SITE_ID = 1
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = Path(os.environ["MEDIA_ROOT"])

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.locale.LocaleMiddleware",
]
DJANGO_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.staticfiles",
]
OUR_APPS = ["django_celery_results", "diskette", "tests.projects"]
CONTEXT_PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
    "django.template.context_processors.i18n",
]

DISKETTE_APPS = json.loads(os.environ.get("DISKETTE_APPS", "null"))
DISKETTE_STORAGES = [MEDIA_ROOT]
DISKETTE_LOAD_STORAGES_PATH = DIRECTORY
DISKETTE_DUMP_PATH = Path(os.environ["DISKETTE_DUMP_PATH"])
