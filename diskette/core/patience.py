"""Looks at a disk that may never answer, as a mount does whose server is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

from diskette.core.exceptions import StorageError

SECONDS = 15.0
"""How long a disk has for an answer."""

T = TypeVar("T")

_hanging: dict[Path, Thread] = {}
"""Who looks every minute does not leave another thread behind each time."""


def within(directory: Path, look: Callable[[], T], seconds: float | None = None) -> T:
    """What `look` finds there, or raises. It must not use the caller's database connections.

    A hanging look cannot be ended: its thread is left behind, and keeps no process from its end.
    Raises StorageError after `seconds` (SECONDS if None), and at once while an earlier one hangs.
    """
    if (earlier := _hanging.get(directory)) and earlier.is_alive():
        raise StorageError(str(directory), _words("it still does not answer"))
    answers: SimpleQueue[tuple[list[T], BaseException | None]] = SimpleQueue()
    thread = Thread(target=_answer, args=(look, answers), name="diskette-look", daemon=True)
    thread.start()
    limit = SECONDS if seconds is None else seconds
    try:
        found, error = answers.get(timeout=limit)
    except Empty:
        _hanging[directory] = thread
        why = _words(f"it has not answered for {limit:g} seconds")
        raise StorageError(str(directory), why) from None
    if error is not None:
        raise error
    return found[0]


def _answer(
    look: Callable[[], T], answers: SimpleQueue[tuple[list[T], BaseException | None]]
) -> None:
    try:
        answers.put(([look()], None))
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        answers.put(([], error))


def _words(what: str) -> str:
    return f"{what}, as a mount does whose server is gone"
