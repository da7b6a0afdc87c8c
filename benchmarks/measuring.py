"""One command as a whole cold process: what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

LAUNCHER = Path(__file__).with_name("launcher.py")
LIMIT_SECONDS = 7200.0
SHOWN_LETTERS = 3000


class ToolFailed(Exception):
    """A tool ended with another exit code than 0; the text is the end of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command with what it needs around it."""

    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    seconds: float
    cpu_seconds: float
    """User and system time of the command and all its descendants, not of a server."""
    peak_bytes: int
    """The largest resident set of any one of these processes."""


def measure(call: Call, scratch: Path) -> Taken:
    """Run it once, with everything written before on the disk. Raises ToolFailed."""
    os.sync()
    report, log = scratch / "taken.json", scratch / "output.log"
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(report), *call.command]
    with log.open("wb") as output:
        _finish(
            subprocess.Popen(  # noqa: S603
                launch,
                cwd=call.directory,
                env={**os.environ, **call.variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        )
    taken = json.loads(report.read_text())
    if taken.pop("exit_code") != 0:
        words = " ".join(call.command)
        raise ToolFailed(f"{words}\n{log.read_text(errors='replace')[-SHOWN_LETTERS:]}")
    return Taken(**taken)


def _finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for its end; whatever comes between ends it, and what it runs, too."""
    try:
        process.wait(LIMIT_SECONDS)
    except BaseException:
        os.killpg(process.pid, SIGKILL)
        process.wait()
        raise


def run(call: Call, scratch: Path) -> str:
    """Run it without measuring; what it printed. Raises ToolFailed."""
    measure(call, scratch)
    return (scratch / "output.log").read_text(errors="replace")
