"""The site's settings come from its environment."""

from __future__ import annotations

import pytest

from worker.databases import DatabaseUrlError, django_database


def test_a_url_names_every_part_of_a_database():
    entry = django_database("postgresql://me:p%40ss@db.example:6543/shop?sslmode=require")
    assert entry == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "me",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "6543",
        "OPTIONS": {"sslmode": "require"},
    }


def test_a_sqlite_url_is_a_path_that_may_have_spaces():
    assert django_database("sqlite:///var/my%20site.sqlite3")["NAME"] == "/var/my site.sqlite3"


def test_a_wrong_url_is_refused_without_repeating_its_password():
    with pytest.raises(DatabaseUrlError, match="begins with 'oracle'") as refused:
        django_database("oracle://me:secret@host/name")
    assert "secret" not in str(refused.value)
