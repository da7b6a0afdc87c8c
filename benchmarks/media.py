"""A tree of files, half of them compressible, the same ones for the same seed."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from benchmarks.project.rows import SEED

FILES_IN_A_DIRECTORY = 100
WRITTEN = 1_700_000_000
"""When the first file was last changed; whole seconds, which every archiver keeps."""
WORDS = 4000
LETTERS_IN_A_WORD = 6.5


def make_media(root: Path, *, size: int, files: int) -> None:
    """Write about `size` bytes in `files` files of sizes between a tenth and thrice the mean."""
    random = Random(SEED)  # noqa: S311 - data, not secrets
    words = [random.randbytes(random.randint(2, 4)).hex() for _ in range(WORDS)]
    weights = [random.betavariate(1.2, 3) + 0.03 for _ in range(files)]
    for place, weight in enumerate(weights):
        path = root / f"{place // FILES_IN_A_DIRECTORY:03d}" / f"file-{place:05d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        length = int(size * weight / sum(weights)) if files else 0
        path.write_bytes(_text(random, words, length) if place % 2 else random.randbytes(length))
        os.utime(path, (WRITTEN + place, WRITTEN + place))


def _text(random: Random, words: list[str], length: int) -> bytes:
    text = " ".join(random.choices(words, k=int(length / LETTERS_IN_A_WORD) + 1))
    return text.encode()[:length]
