"""Where benchmarks run: the original's environment, and what machine and versions there are."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from compileall import compile_dir
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.engines import Engine

ROOT = Path(__file__).resolve().parent.parent
ORIGINAL = ROOT / "var" / "original"
REQUIREMENTS = ("diskette>=0.6,<0.7", "psycopg[binary]", f"Django=={version('Django')}")
PACKAGES = ("Django", "diskette", "django-dbbackup", "psycopg", "orjson", "zstandard")


def original_python() -> Path:
    """The Python of an environment with the synchronous Diskette, made once."""
    python = ORIGINAL / "bin" / "python"
    if not (ORIGINAL / "complete").exists():
        _run(sys.executable, "-m", "venv", "--clear", str(ORIGINAL))
        _run(str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS)
        (ORIGINAL / "complete").touch()
    return python


def compile_packages() -> None:
    """As `pip install` does: where Python may write no bytecode, all processes would compile."""
    for package in ("diskette", "benchmarks"):
        compile_dir(ROOT / package, quiet=1)


def make_home(directory: Path) -> Path:
    """A directory with the package `benchmarks` and without this repository's Diskette."""
    home = directory / "home"
    home.mkdir()
    (home / "benchmarks").symlink_to(ROOT / "benchmarks")
    return home


def description(engines: list[Engine]) -> list[str]:
    """Machine and versions, a line each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    today, kernel = datetime.now(tz=UTC).date(), f"{platform.system()} {platform.release()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = f"load average {os.getloadavg()[1]:.1f} when it began"
    return [
        f"{today}, {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {kernel}, {load}",
        f"CPython {platform.python_version()}, {packages}",
        ", ".join([*(engine.version() for engine in engines), *_programs()]),
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _programs() -> list[str]:
    return [_first_line(name) for name in ("tar", "zstd")]


def _first_line(program: str) -> str:
    try:
        return _run(program, "--version").splitlines()[0].strip("* ")
    except FileNotFoundError:
        return f"no {program}"


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
