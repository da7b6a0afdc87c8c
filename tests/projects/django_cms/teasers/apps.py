from __future__ import annotations

from django.apps import AppConfig


class TeasersConfig(AppConfig):
    name = "tests.projects.django_cms.teasers"
    label = "teasers"
