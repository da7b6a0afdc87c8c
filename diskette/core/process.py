"""Who is at work, so that a process that is gone is known before its lease runs out."""

from __future__ import annotations

import os
import socket
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE = Path("/proc/self/ns/pid")
START_TIME_FIELD = 22
"""Of /proc/<pid>/stat, in clock ticks since boot: proc(5)."""


def identity() -> str:
    """`host|boot and namespace|pid|start`: names this process and no later one."""
    pid = os.getpid()
    return "|".join((socket.gethostname(), _machine(), str(pid), _started(pid)))


def is_gone(who: str) -> bool:
    """Whether that process has surely ended. False when this machine cannot tell."""
    parts = who.split("|")
    if len(parts) != len(identity().split("|")) or not parts[1] or parts[1] != _machine():
        return False
    return _started(int(parts[2])) != parts[3]


def _machine() -> str:
    """Boot and process namespace; empty where the system does not say."""
    try:
        return f"{BOOT_ID.read_text().strip()}/{PID_NAMESPACE.readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    after_name = stat.rpartition(")")[2].split()
    state, start = after_name[0], after_name[START_TIME_FIELD - 3]
    return "" if state == "Z" else start
