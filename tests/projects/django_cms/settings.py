"""A site of django CMS with versions, aliases, texts, links, videos and a plugin of its own."""

from __future__ import annotations

from pathlib import Path

from tests.projects.common import *  # noqa: F403
from tests.projects.common import (
    CONTEXT_PROCESSORS,
    DIRECTORY,
    DJANGO_APPS,
    MEDIA_ROOT,
    MIDDLEWARE,
    OUR_APPS,
)

INSTALLED_APPS = [
    *DJANGO_APPS,
    "cms",
    "menus",
    "treebeard",
    "sekizai",
    "parler",
    "easy_thumbnails",
    "filer",
    "djangocms_versioning",
    "djangocms_alias",
    "djangocms_text",
    "djangocms_link",
    "djangocms_video",
    "tests.projects.django_cms.teasers",
    *OUR_APPS,
]
MIDDLEWARE = [
    *MIDDLEWARE,
    "cms.middleware.user.CurrentUserMiddleware",
    "cms.middleware.page.CurrentPageMiddleware",
    "cms.middleware.toolbar.ToolbarMiddleware",
    "cms.middleware.language.LanguageCookieMiddleware",
]
ROOT_URLCONF = "tests.projects.django_cms.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                *CONTEXT_PROCESSORS,
                "cms.context_processors.cms_settings",
                "sekizai.context_processors.sekizai",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("cs", "Čeština")]
X_FRAME_OPTIONS = "SAMEORIGIN"
CMS_CONFIRM_VERSION4 = True
CMS_PERMISSION = True
CMS_TEMPLATES = [("page.html", "Page")]
# Of django CMS's own making, on this version of treebeard.
SILENCED_SYSTEM_CHECKS = ["treebeard.E001"]
FILER_ENABLE_PERMISSIONS = True
THUMBNAIL_PROCESSORS = (
    "easy_thumbnails.processors.colorspace",
    "filer.thumbnail_processors.scale_and_crop_with_subject_location",
)

DISKETTE_STORAGES = [MEDIA_ROOT, DIRECTORY / "smedia"]
FILLING = "tests.projects.django_cms.filling"
