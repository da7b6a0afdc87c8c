"""Real filesystems and users for tests of full disks, mount points and permissions."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import missing

NOBODY = 65534


@contextmanager
def mounted(directory: Path, options: str = "size=8m") -> Iterator[Path]:
    """A filesystem of its own in `directory`."""
    with _mounted(directory, "tmpfs", options):
        yield directory


@contextmanager
def hung(directory: Path) -> Iterator[Path]:
    """A mount that never answers: a filesystem in user space where nobody reads what is asked."""
    _require_root()
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        missing(f"/dev/fuse cannot be opened: {error}")
    directory.mkdir(exist_ok=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"hung", bytes(directory), b"fuse", 0, options) == 0, ctypes.get_errno()
    try:
        yield directory
    finally:
        os.close(device)  # whoever waits gets an error
        subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def thin(directory: Path, *, promised: str, kept: str) -> Iterator[Path]:
    """A disk that promises more than it keeps: what is written is refused when it is synced."""
    mkfs = shutil.which("mkfs.ext4", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if mkfs is None:
        missing("mkfs.ext4 is not installed")
    with mounted(directory.with_name("pool"), f"size={kept}") as pool:
        image = pool / "image"
        subprocess.run(["truncate", "--size", promised, image], check=True)
        subprocess.run([mkfs, "-q", "-O", "^has_journal", image], check=True)
        with _mounted(directory, "ext4", "loop", image):
            yield directory


@contextmanager
def overlaid(lower: Path, directory: Path) -> Iterator[Path]:
    """What is in `lower`, as a container shows what lies in its image."""
    upper, work = directory.with_name("upper"), directory.with_name("work")
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    with _mounted(directory, "overlay", options):
        yield directory


@contextmanager
def bound(source: Path, directory: Path) -> Iterator[Path]:
    """A directory of the same disk mounted in another place, as a container's volume is."""
    _require_root()
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", source, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def nobody(*owned: Path) -> Iterator[None]:
    """The powers of an ordinary user who owns these directories and may enter their parents."""
    _require_root()
    for directory in owned:
        os.chown(directory, NOBODY, NOBODY)
        for parent in directory.parents:
            if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o7 == 0:
                parent.chmod(parent.stat().st_mode | 0o711)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextmanager
def _mounted(
    directory: Path, kind: str, options: str, source: str | Path = "diskette-tests"
) -> Iterator[None]:
    _require_root()
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", options, source, directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def _require_root() -> None:
    if os.geteuid() != 0:
        assert not os.environ.get("CI"), "CI must run these tests as root: they mount filesystems"
        pytest.skip("only root may mount a filesystem or become somebody else")
