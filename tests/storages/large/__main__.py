"""`python -m tests.storages.large`: dump, verify and load a storage, tell what it took, compare."""

from __future__ import annotations

import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import engines
from benchmarks.measuring import Taken, measure
from benchmarks.places import Place
from benchmarks.tools import DisketteStorages
from worker.servers import new_directory
from worker.sites import ROOT, Site

MOST_BYTES = 150_000_000
"""Resident, of any one process."""
SPREAD = 1000
"""Of the files, half lie so many to a directory, the others all in one."""
GB = 1 << 30
HERE = b"here"


def main(arguments: Sequence[str]) -> int:
    """1 if a process took more memory than promised, or what came back is not what was there."""
    options = parse(arguments)
    directory = new_directory("diskette-large-")
    try:
        return drilled(directory, options)
    finally:
        shutil.rmtree(directory)


def parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m tests.storages.large", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000, help="small ones")
    parser.add_argument("--sparse-gb", type=int, default=20, help="of one file that is mostly hole")
    return parser.parse_args(arguments)


def drilled(directory: Path, options: Namespace) -> int:
    tool = DisketteStorages()
    with engines.opened("sqlite", directory) as engine:
        place = Place(
            home=ROOT,
            archives=directory / "archives",
            database_url=engine.create("live", None),
            media=directory / "media",
        )
        place.archives.mkdir()
        migrate(directory, place)
        fill(place.media, options.files, options.sparse_gb * GB)
        peaks = [told("dump", measure(tool.dump(place), directory))]
        examine = tool.django(place, "diskette_verify", str(place.archives / tool.archive))
        peaks.append(told("verify", measure(examine, directory)))
        place.media.rename(directory / "source")
        peaks.append(told("load", measure(tool.load(place), directory)))
    both = map(looks, (directory / "source", place.media))
    different = sum(one != other for one, other in zip(*both, strict=True))
    emit(f"{different} of {options.files + 1:,} files differ")
    return int(different > 0 or max(peaks) > MOST_BYTES)


def migrate(directory: Path, place: Place) -> None:
    variables = place.environment("diskette")
    settings = variables["DJANGO_SETTINGS_MODULE"]
    url = place.database_url
    site = Site(directory=directory, database_url=url, settings=settings, variables=variables)
    site.manage("migrate", "-v0")


def fill(root: Path, files: int, sparse_bytes: int) -> None:
    flat = root / "flat"
    flat.mkdir(parents=True)
    for number in range(files):
        parent = flat if number % 2 else root / f"{number // SPREAD:06}"
        parent.mkdir(exist_ok=True)
        (parent / f"{number:08}.txt").write_bytes(b"file %d" % number)
    with (root / "disk").open("wb") as disk:
        disk.truncate(sparse_bytes)
        for at in (0, sparse_bytes // 2, sparse_bytes - len(HERE)):
            disk.seek(at)
            disk.write(HERE)


def looks(root: Path) -> Iterator[tuple[object, ...]]:
    """All that makes up each name, in order; of the large file, where its data is and what."""
    for directory, directories, names in os.walk(root):
        directories.sort()
        for name in sorted(names):
            path = Path(directory, name)
            status = path.stat()
            content = path.read_bytes() if name != "disk" else data_of(path, status.st_size)
            yield str(path.relative_to(root)), status.st_mode, status.st_mtime_ns, content


def data_of(path: Path, size: int) -> tuple[object, ...]:
    with path.open("rb") as disk:
        starts = [disk.seek(at) for at in (0, size // 2, size - len(HERE))]
        data = [os.pread(disk.fileno(), len(HERE), at) for at in starts]
    return size, data, path.stat().st_blocks * 512 < size


def told(what: str, taken: Taken) -> int:
    emit(f"{what}: {taken.seconds:.1f} s, peak {taken.peak_bytes / 1e6:.0f} MB")
    return taken.peak_bytes


def emit(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
