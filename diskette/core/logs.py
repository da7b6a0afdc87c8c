"""Log records that say which run and step they are about.

Every logger of ours comes from `logger_of`, so each of its records has the attributes of
FIELDS, empty where it is about no run, and a formatter may name them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

FIELDS = ("run", "kind", "step", "subject")

_NOTHING = dict.fromkeys(FIELDS, "")
_subject: ContextVar[dict[str, str]] = ContextVar("diskette_subject_of_logs", default=_NOTHING)


class Logger(logging.LoggerAdapter[logging.Logger]):
    """Adds what is being worked on to each record; `extra` of a call goes before it."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The record's message and arguments, with its fields."""
        kwargs["extra"] = {**_subject.get(), **(kwargs.get("extra") or {})}
        return msg, kwargs


def logger_of(name: str) -> Logger:
    """The logger of a module."""
    return Logger(logging.getLogger(name), {})


@contextmanager
def about(*, run: object, kind: str, step: str = "", subject: str = "") -> Iterator[None]:
    """What is logged meanwhile is about this; a thread needs a copy of the context."""
    fields = {"run": str(run), "kind": str(kind), "step": step, "subject": subject}
    before = _subject.set(fields)
    try:
        yield
    finally:
        _subject.reset(before)
