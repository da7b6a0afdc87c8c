"""A site of django-helpdesk."""

from __future__ import annotations

from tests.projects.common import *  # noqa: F403
from tests.projects.common import CONTEXT_PROCESSORS, DJANGO_APPS, OUR_APPS

INSTALLED_APPS = [*DJANGO_APPS, "rest_framework", "helpdesk", *OUR_APPS]
ROOT_URLCONF = "tests.projects.helpdesk.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": CONTEXT_PROCESSORS},
    }
]
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
LOGIN_URL = "helpdesk:login"
# Its model of teams would be another project's; False puts the users' in its place.
HELPDESK_TEAMS_MODE_ENABLED = False
HELPDESK_ENABLE_PER_QUEUE_STAFF_PERMISSION = True
FILLING = "tests.projects.helpdesk.filling"
