"""One copy of a step at a time, where two would harm each other's work."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from diskette.steps.context import Context

LOCK_POLL_SECONDS = 0.1


@contextmanager
def alone(context: Context, name: str) -> Iterator[None]:
    """Wait for a copy of this step that was taken for dead in the middle of its work.

    Raises Stopped if this one is the copy that was.
    """
    with (context.workspace.path / f"{name}.lock").open("w") as lock:
        while not _locked(lock.fileno()):
            context.tick(0)
            time.sleep(LOCK_POLL_SECONDS)
        context.confirm()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a filesystem without locks: that the step is still ours has to do
    return True
