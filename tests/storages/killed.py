"""Swaps that are cut off: killed before their n-th change of a directory.

A process of its own that obeys lines `<n> <run> <path>`; each makes a child that swaps and is
killed, by SIGKILL, when it is about to rename, make or remove something for the n-th time.
Answers `killed` or `done`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.truncate"}


class Killer:
    """Asks that process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def swap(self, live: Path, run: str, at: int) -> bool:
        """Whether the swap was killed; False: it was done with fewer changes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{at} {run} {live}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer in {"killed", "done"}, answer
        return answer == "killed"


@contextmanager
def killer() -> Iterator[Killer]:
    command = [sys.executable, "-m", "tests.storages.killed"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()


def _swap_until(at: int, run: str, live: Path) -> None:
    from diskette.storages.swapping import swap

    changes = 0

    def count(event: str, _: object) -> None:
        nonlocal changes
        if event in CHANGES:
            changes += 1
            if changes == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    swap(live, run)


def _obey(line: str) -> str:
    at, run, live = line.rstrip("\n").split(" ", 2)
    child = os.fork()
    if child == 0:
        _swap_until(int(at), run, Path(live))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    return "done" if status == 0 else f"failed: {status}"


if __name__ == "__main__":
    import diskette.storages.swapping  # noqa: F401 - once, before the forks

    for order in sys.stdin:
        print(_obey(order), flush=True)  # noqa: T201 - how it answers
