"""Django's settings from the environment; nothing set gives a local site on SQLite in var/."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.management.utils import get_random_secret_key

from worker import config
from worker.databases import django_database

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("DISKETTE_VAR", BASE_DIR / "var")).absolute()
"""Where everything lies that is not named by itself: database, media, archives."""


def _flag(name: str, default: bool) -> bool:
    return os.environ.get(name, str(int(default))).lower() in ("1", "true", "yes", "on")


def _words(name: str, default: str) -> list[str]:
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def _path(name: str, default: Path) -> Path:
    return Path(os.environ.get(name) or default).absolute()


def _kept_secret_key() -> str:
    """A key made at the first start and kept in var/, readable by us alone."""
    path = VAR / "secret_key"
    if not path.exists():
        VAR.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=VAR) as draft, suppress(FileExistsError):
            draft.write(get_random_secret_key())
            draft.flush()
            os.link(draft.name, path)
    return path.read_text()


SECRET_KEY = os.environ.get("SECRET_KEY") or _kept_secret_key()
DEBUG = _flag("DEBUG", default=False)
ALLOWED_HOSTS = _words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _words("CSRF_TRUSTED_ORIGINS", "")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_celery_results",
    "diskette",
    "worker",
    "worker.sample",
    "worker.sample.blog",
    "worker.sample.crm",
    "worker.sample.gallery",
    "worker.sample.shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
ROOT_URLCONF = "worker.urls"
WSGI_APPLICATION = "worker.wsgi.application"

DATABASE_URL = os.environ.get("DATABASE_URL") or f"sqlite://{VAR}/site.sqlite3"
DATABASES = {"default": django_database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = config.timezone
LANGUAGE_CODE = "en-us"

STATIC_URL = "static/"
# The admin's few files are served as they are found; nothing has to be collected first.
WHITENOISE_USE_FINDERS = True
MEDIA_URL = "media/"
MEDIA_ROOT = _path("MEDIA_ROOT", VAR / "media")

DISKETTE_APPS = json.loads(os.environ.get("DISKETTE_APPS", "null"))
DISKETTE_STORAGES = [MEDIA_ROOT]
DISKETTE_LOAD_STORAGES_PATH = MEDIA_ROOT.parent
DISKETTE_DUMP_PATH = _path("DISKETTE_DUMP_PATH", VAR / "archives")
DISKETTE_WORKSPACE = _path("DISKETTE_WORKSPACE", DISKETTE_DUMP_PATH / ".diskette")
DISKETTE_LABEL = os.environ.get("DISKETTE_LABEL", "sample")
DISKETTE_ENVIRONMENT = os.environ.get("DISKETTE_ENVIRONMENT")
DISKETTE_LEASE_SECONDS = float(os.environ.get("DISKETTE_LEASE_SECONDS", "60"))
DISKETTE_SAFETY_DUMP = _flag("DISKETTE_SAFETY_DUMP", default=True)
DISKETTE_LOAD_ENABLED = _flag("DISKETTE_LOAD_ENABLED", default=False)
DISKETTE_SCHEDULE = json.loads(os.environ.get("DISKETTE_SCHEDULE", "{}"))
DISKETTE_HEALTH = json.loads(os.environ.get("DISKETTE_HEALTH", "{}"))
DISKETTE_HISTORY = json.loads(os.environ.get("DISKETTE_HISTORY", "365"))
DISKETTE_RETENTION = json.loads(os.environ.get("DISKETTE_RETENTION", "null"))
DISKETTE_QUEUE = config.DUMP_QUEUE
DISKETTE_LOAD_QUEUE = config.LOAD_QUEUE

EMAIL_HOST = os.environ.get("EMAIL_HOST", "localhost")
EMAIL_PORT = int(os.environ.get("EMAIL_PORT", "25"))
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _flag("EMAIL_USE_TLS", default=False)
SERVER_EMAIL = os.environ.get("SERVER_EMAIL", "root@localhost")
DISKETTE_NOTIFY_MAIL = _words("DISKETTE_NOTIFY_MAIL", "")
DISKETTE_NOTIFY_SECRET_URLS = os.environ.get("DISKETTE_NOTIFY_SECRET_URLS", "").split()
DISKETTE_NOTIFY_SECRET_PINGS = json.loads(os.environ.get("DISKETTE_NOTIFY_SECRET_PINGS", "{}"))
DISKETTE_NOTIFY_SUCCESS = _flag("DISKETTE_NOTIFY_SUCCESS", default=False)
DISKETTE_NOTIFY_TIMEOUT = float(os.environ.get("DISKETTE_NOTIFY_TIMEOUT", "10"))
