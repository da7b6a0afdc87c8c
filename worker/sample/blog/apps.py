from __future__ import annotations

from django.apps import AppConfig


class BlogConfig(AppConfig):
    name = "worker.sample.blog"
    default_auto_field = "django.db.models.BigAutoField"
