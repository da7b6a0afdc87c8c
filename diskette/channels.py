"""How messages leave: the project's mail, services that apprise knows, pings.

All of them side by side and none longer than DISKETTE_NOTIFY_TIMEOUT, so that a server that
does not answer holds nobody up. Nothing here raises: what could not be sent is returned.
Addresses of services and pings are secrets, so no log and no error repeats them.
"""

from __future__ import annotations

import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.core.mail import EmailMessage, get_connection
from django.db import connections

from diskette import conf
from diskette.core.exceptions import DisketteError
from diskette.core.version import __version__

if TYPE_CHECKING:
    from types import ModuleType

THREAD_NAME = "diskette-telling"
LOUD_LOGGERS = ("apprise", "urllib3.connectionpool")
"""What they say, at some levels, has the address of a service in it."""
NOT_INSTALLED = 'apprise is not installed: pip install "diskette[notify]"'


class Tone(StrEnum):
    """How a service that has colours shows it; apprise's words."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"


class Moment(StrEnum):
    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    subject: str
    body: str
    tone: Tone


class NotDelivered(DisketteError):
    """A channel did not take a message. Takes why, in words without a secret."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


Act = Callable[[], None]


def is_open() -> bool:
    """Whether a message would go anywhere."""
    return count() > 0


def count() -> int:
    """How many channels a message goes to: all mail is one, each service another."""
    return bool(conf.notify_mail()) + len(conf.notify_urls())


def send(message: Message) -> list[str]:
    """Send it to everyone. Returns what could not be sent, one sentence each."""
    acts: dict[str, Act] = {}
    if addresses := conf.notify_mail():
        acts[f"The mail to {', '.join(addresses)}"] = lambda: _mail(message, addresses)
    urls = conf.notify_urls()
    apprise = _apprise() if urls else None
    for number, url in enumerate(urls, 1):
        scheme = url.partition("://")[0] if "://" in url else "no address"
        name = f"The message to service {number} of {len(urls)} ({scheme})"
        acts[name] = _to_service(apprise, url, message)
    return _side_by_side(acts)


def ping(kind: str, moment: Moment) -> list[str]:
    """Say that a run of that kind has come so far. Returns what could not be said."""
    url = conf.notify_pings().get(kind, {}).get(moment)
    return _side_by_side({f"The ping {moment} of {kind}": lambda: _get(url)} if url else {})


def _mail(message: Message, addresses: tuple[str, ...]) -> None:
    connection: Any = get_connection()
    if getattr(connection, "timeout", 0) is None:
        connection.timeout = conf.notify_timeout()  # Django's own default is to wait for ever
    mail = EmailMessage(
        subject=f"{conf.email_subject_prefix()}{message.subject}",
        body=message.body,
        from_email=conf.server_email(),
        to=addresses,
        headers={"Auto-Submitted": "auto-generated"},  # no answers of absent people: RFC 3834
        connection=connection,
    )
    mail.send()


def _apprise() -> ModuleType | None:
    """Imported before any clock runs; None where it is not installed."""
    try:
        import apprise
    except ImportError:
        return None
    for name in LOUD_LOGGERS:
        logging.getLogger(name).addFilter(_is_of_others)
    return apprise


def _is_of_others(record: logging.LogRecord) -> bool:
    return not str(record.threadName).startswith(THREAD_NAME)


def _to_service(apprise: ModuleType | None, url: str, message: Message) -> Act:
    def act() -> None:
        if apprise is None:
            raise NotDelivered(NOT_INSTALLED)
        service = apprise.Apprise.instantiate(url)
        if service is None:
            raise NotDelivered("apprise knows no such service, or its address is incomplete")
        if "overflow=" not in url:
            service.overflow_mode = apprise.OverflowMode.TRUNCATE  # else some take nothing at all
        if not service.notify(
            title=message.subject, body=message.body, notify_type=str(message.tone)
        ):
            raise NotDelivered("it did not take it")

    return act


def _get(url: str) -> None:
    headers = {"User-Agent": f"diskette/{__version__}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked: http or https
    with urllib.request.urlopen(request, timeout=conf.notify_timeout()):  # noqa: S310
        pass


class _Try(threading.Thread):
    """One act in a thread of its own, and what became of it."""

    def __init__(self, act: Act) -> None:
        super().__init__(name=THREAD_NAME, daemon=True)
        self._act = act
        self.why = _silence()

    def run(self) -> None:
        """Do it. Whatever it raises is an answer: mail backends are the project's own code."""
        try:
            self._act()
            self.why = ""
        except Exception as error:  # noqa: BLE001
            self.why = _why(error)
        finally:
            connections.close_all()


def _side_by_side(acts: Mapping[str, Act]) -> list[str]:
    tries = {name: _Try(act) for name, act in acts.items()}
    for each in tries.values():
        each.start()
    deadline = time.monotonic() + conf.notify_timeout()
    for each in tries.values():
        each.join(max(0.0, deadline - time.monotonic()))
    return [f"{name} was not sent: {each.why}." for name, each in tries.items() if each.why]


def _silence() -> str:
    return f"no answer within {conf.notify_timeout():g} seconds"


def _why(error: Exception) -> str:
    """Without what may repeat an address: errors of urllib do."""
    if isinstance(error, NotDelivered):
        return str(error)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answered {error.code}"
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return _silence()
    words = getattr(cause, "strerror", None) or getattr(cause, "smtp_error", None) or ""
    words = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    return f"{type(cause).__name__}{': ' if words else ''}{words}".rstrip(".")
