"""Settings of the project under one tool; the environment names tool, database and media."""

from __future__ import annotations

import json
import os
from pathlib import Path

TOOL = os.environ.get("BENCHMARK_TOOL", "django")
"""Whose applications are installed beside the project's own: django: nobody's."""
APPLICATIONS = {
    "django": [],
    "dbbackup": ["dbbackup"],
    "diskette": ["django_celery_results", "diskette"],
    "original": ["diskette"],
}

SECRET_KEY = "benchmark"  # noqa: S105 - of a project that answers nobody
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "benchmarks.project.catalogue",
    *APPLICATIONS[TOOL],
]
DATABASES = {"default": json.loads(os.environ["BENCHMARK_DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEDIA_ROOT = Path(os.environ["BENCHMARK_MEDIA"])
ARCHIVES = Path(os.environ["BENCHMARK_ARCHIVES"])
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "dbbackup": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": ARCHIVES},
    },
}

if TOOL == "original":
    from diskette.settings import *  # type: ignore[import-not-found]  # noqa: F403

    # Plain labels would name the automatic many-to-many tables too, which it writes twice.
    DISKETTE_APPS = [
        ["users", {"natural_foreign": True, "models": ["auth.Group", "auth.User"]}],
        [
            "catalogue",
            {
                "natural_foreign": True,
                "models": [
                    f"catalogue.{name}"
                    for name in ("Tag", "Category", "Author", "Book", "Review", "Sale")
                ],
            },
        ],
    ]
DISKETTE_STORAGES = [MEDIA_ROOT]
DISKETTE_LOAD_STORAGES_PATH = MEDIA_ROOT.parent
DISKETTE_DUMP_PATH = ARCHIVES
