"""A database as one line of environment."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

ENGINES = {
    "mysql": "django.db.backends.mysql",
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "sqlite": "django.db.backends.sqlite3",
}


class DatabaseUrlError(ValueError):
    """A DATABASE_URL that names no database; the password is not repeated."""

    def __init__(self, scheme: str) -> None:
        super().__init__(
            f"DATABASE_URL begins with {scheme!r}: write "
            "postgresql://user:password@host:port/name, mysql://user:password@host:port/name or sqlite:///path."
        )


def django_database(url: str) -> dict[str, Any]:
    """The `DATABASES` entry of a URL; what follows `?` becomes its OPTIONS."""
    parts = urlsplit(url)
    if parts.scheme not in ENGINES:
        raise DatabaseUrlError(parts.scheme)
    entry: dict[str, Any] = {
        "ENGINE": ENGINES[parts.scheme],
        "OPTIONS": dict(parse_qsl(parts.query)),
    }
    if parts.scheme == "sqlite":
        # A worker, a beat and a web server write side by side: wait for one another.
        return entry | {"NAME": unquote(parts.path), "OPTIONS": {"timeout": 20}}
    return entry | {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
    }
