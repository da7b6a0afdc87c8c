"""Assembles an archive and kills itself at one instant: `DIRECTORY INSTANT`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from diskette.core.assembling import SMALLEST_PIECE, write_archive
from tests.core import samples

TREE = "storages/media.tar.zst"
LARGE = samples.CONTENTS | {TREE: Random(0).randbytes(1_000_000)}
"""The tree, the last member, is moved in four pieces."""

MOVES_BEFORE = len(LARGE)
"""Of the other members, and the first piece of the tree."""
WHOLE, LESS = 1_000_000, 1_000_000 - SMALLEST_PIECE

REST = {
    "laid out, but without its name": WHOLE,
    "named": WHOLE,
    "a piece copied, but not cut off": LESS,
    "half a piece copied": LESS,
    "a piece copied and cut off": LESS - SMALLEST_PIECE,
}
"""By instant: bytes of the tree that are then still to be moved."""
INSTANTS = list(REST)


def main(directory: Path, instant: str) -> None:
    act = {
        "laid out, but without its name": lambda: dying("replace", 1),
        "named": lambda: dying("sendfile", 1),
        "a piece copied, but not cut off": lambda: dying("ftruncate", MOVES_BEFORE + 1),
        "half a piece copied": lambda: dying("sendfile", MOVES_BEFORE + 1, halved),
        "a piece copied and cut off": lambda: dying("sendfile", MOVES_BEFORE + 2),
    }
    act[instant]()
    parts = {name: directory / "parts" / str(number) for number, name in enumerate(LARGE)}
    write_archive(directory / "shop.tar", samples.manifest(LARGE), parts)


def dying(name: str, at: int, last: Callable[..., object] = lambda *_: None) -> None:
    """Have the nth call of a system's function be the process's last, or not even that."""
    call, calls = getattr(os, name), iter(range(1, at + 1))

    def counted(*arguments: Any) -> Any:
        if next(calls) == at:
            last(call, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)

    setattr(os, name, counted)


def halved(call: Callable[..., object], out: int, source: int, start: int, size: int) -> None:
    call(out, source, start, size // 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
