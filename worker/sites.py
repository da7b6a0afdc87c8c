"""A site in processes of its own: its commands, its workers, its beat.

For the demo and for tests that kill: everything a site is comes from its environment, so
several live side by side. Nothing outlives the process that started it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

from worker.comparison import Side
from worker.servers import ServerError, await_condition, end, spawn

ROOT = Path(__file__).resolve().parent.parent
COMMAND_SECONDS = 600.0
READY_SECONDS = 60.0
ALL_QUEUES = ("celery", "diskette", "diskette-load")


class CommandFailed(Exception):
    """A command ended with another exit code than 0; the text is what it printed."""


@dataclass(kw_only=True)
class CeleryProcess:
    """A worker or a beat, as the operating system sees it."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def children(self) -> list[int]:
        """The pool's processes, where /proc tells."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def printed(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")

    def await_printed(self, words: str, *, seconds: float = READY_SECONDS) -> None:
        """Return as soon as its log says so; ServerError if it ends or stays silent."""
        await_condition(lambda: self.printed(words) or not self.is_alive, seconds=seconds)
        if not self.printed(words):
            tail = self.log.read_text(errors="replace")[-3000:]
            raise ServerError(f"{self.log.stem} did not print {words!r}:\n{tail}")

    def stop(self) -> None:
        """Let it finish what it does, then end."""
        end(self.process)

    def kill(self) -> None:
        """End it and its children at once, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        os.killpg(self.pid, SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, SIGCONT)

    def thaw_if_alive(self) -> None:
        if self.is_alive:
            self.thaw()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A deployment in one directory: media, archives, workspace, logs."""

    directory: Path
    database_url: str
    broker_url: str = ""
    settings: str = "worker.settings"
    celery_app: str = "worker"
    trees: Sequence[str] = ("media",)
    """Directories beneath the site's own that hold its files."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """More environment: DISKETTE_LEASE_SECONDS and its like."""

    @property
    def media(self) -> Path:
        return self.directory / "media"

    @property
    def archives(self) -> Path:
        return self.directory / "archives"

    @property
    def side(self) -> Side:
        """What of it is compared with other sites."""
        trees = {name: self.directory / name for name in self.trees}
        return Side(database_url=self.database_url, trees=trees)

    @property
    def environment(self) -> dict[str, str]:
        broker = {"CELERY_BROKER_URL": self.broker_url} if self.broker_url else {}
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": self.settings,
            "DISKETTE_VAR": str(self.directory),
            "MEDIA_ROOT": str(self.media),
            "DISKETTE_DUMP_PATH": str(self.archives),
            "DATABASE_URL": self.database_url,
            **broker,
            **self.variables,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A Django command, whatever its exit code."""
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "django", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    @contextmanager
    def begun(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Django command that goes on meanwhile; it has ended, somehow, afterwards."""
        with subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "django", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def manage(self, *arguments: str) -> str:
        """What a Django command printed. Raises CommandFailed."""
        done = self.run(*arguments)
        if done.returncode != 0:
            printed = f"{done.stdout}\n{done.stderr}".strip()
            raise CommandFailed(f"{' '.join(arguments)} ended with {done.returncode}:\n{printed}")
        return done.stdout.strip()

    @contextmanager
    def worker(
        self,
        *queues: str,
        name: str = "worker",
        concurrency: int = 2,
        words: str = " ready.",
    ) -> Iterator[CeleryProcess]:
        """A worker that is ready for the queues (all, if none is named); stopped at the end.

        `words`: what it must have printed by then; empty where others are started meanwhile.
        """
        options = ["-Q", ",".join(queues or ALL_QUEUES), "-c", str(concurrency)]
        with self._celery(
            "worker",
            *options,
            "-n",
            f"{name}@%h",
            "--without-gossip",
            "--without-mingle",
            name=name,
        ) as process:
            process.await_printed(words)
            yield process

    @contextmanager
    def beat(self, words: str = "beat: Starting...", **variables: str) -> Iterator[CeleryProcess]:
        file = {"CELERY_BEAT_FILE": str(self.directory / "celerybeat-schedule")}
        with self._celery("beat", name="beat", variables=file | variables) as process:
            process.await_printed(words)
            yield process

    @contextmanager
    def _celery(
        self, *arguments: str, name: str, variables: Mapping[str, str] | None = None
    ) -> Iterator[CeleryProcess]:
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / f"{name}.log"
        log.write_bytes(b"")
        command = [sys.executable, "-m", "celery", "-A", self.celery_app, *arguments, "-l", "INFO"]
        environment = self.environment | dict(variables or {})
        started = CeleryProcess(process=spawn(command, log=log, cwd=ROOT, env=environment), log=log)
        try:
            yield started
        finally:
            started.stop()
