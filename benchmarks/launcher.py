"""Run a command and write down what it and all its descendants took.

A small program of its own, because a process is said to have been as large as the one it
was forked from. As their subreaper it also waits for what detaches itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def main(report: str, command: list[str]) -> None:
    """Measure until the last descendant has ended; `seconds` until the command itself has."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.perf_counter()
    started = os.posix_spawnp(command[0], command, os.environ)
    taken = {"seconds": 0.0, "cpu_seconds": 0.0, "peak_bytes": 0, "exit_code": 0}
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        taken["cpu_seconds"] += usage.ru_utime + usage.ru_stime
        taken["peak_bytes"] = max(taken["peak_bytes"], usage.ru_maxrss * 1024)
        if pid == started:
            taken["seconds"] = time.perf_counter() - began
            taken["exit_code"] = os.waitstatus_to_exitcode(status)
    Path(report).write_text(json.dumps(taken))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
