"""A project of two applications whose relations go every way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from diskette import registry
from diskette.core.exceptions import ConfigurationError

INSTALLED_APPS = [
    "tests.registry.gifts",
    "tests.registry.kiosk",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_celery_results",
    "diskette",
]


@pytest.fixture
def project(settings: Any) -> Any:
    settings.INSTALLED_APPS = INSTALLED_APPS
    return settings


@pytest.fixture
def resolve(project: Any) -> Callable[..., registry.Resolution]:
    """Resolve these entries of DISKETTE_APPS."""

    def resolve(*entries: Any, only: Iterable[str] = ()) -> registry.Resolution:
        project.DISKETTE_APPS = list(entries)
        return registry.resolve(tuple(only))

    return resolve


@pytest.fixture
def refuse(resolve: Callable[..., registry.Resolution]) -> Callable[..., list[str]]:
    """The problems for which these entries are refused."""

    def refuse(*entries: Any) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            resolve(*entries)
        return list(caught.value.problems)

    return refuse
