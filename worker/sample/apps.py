from __future__ import annotations

from django.apps import AppConfig


class SampleConfig(AppConfig):
    """The commands and tasks of the sample project; its models are in four applications."""

    name = "worker.sample"
