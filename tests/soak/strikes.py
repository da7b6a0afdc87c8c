"""What strikes a run: each is done in a moment, what it broke is mended later."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from signal import SIGKILL, SIGQUIT, SIGTERM, Signals

import redis
from kombu.exceptions import OperationalError

from tests.yard import WORKERS, Yard
from worker.sites import CeleryProcess

STEPS = "SELECT name, id FROM diskette_step ORDER BY random() LIMIT 20"

Strike = Callable[[Yard, Random, str], None]
"""At what, by which chance, during which run."""


def _worker(yard: Yard, random: Random) -> CeleryProcess:
    return yard.processes[random.choice(WORKERS)]


def _kill_child(yard: Yard, random: Random, _: str) -> None:
    worker = _worker(yard, random)
    with suppress(ProcessLookupError, FileNotFoundError):
        for pid in worker.children:
            os.kill(pid, SIGKILL)


def _signal_main(signal: Signals) -> Strike:
    def strike(yard: Yard, random: Random, _: str) -> None:
        _worker(yard, random).process.send_signal(signal)

    return strike


def _kill_group(yard: Yard, random: Random, _: str) -> None:
    _worker(yard, random).kill()


def _freeze_worker(yard: Yard, random: Random, _: str) -> None:
    worker = _worker(yard, random)
    if worker.is_alive:
        worker.freeze()


def _kill_redis(yard: Yard, random: Random, _: str) -> None:
    yard.redis.kill()


def _freeze_redis(yard: Yard, random: Random, _: str) -> None:
    yard.redis.freeze()


def _empty_redis(yard: Yard, random: Random, _: str) -> None:
    with suppress(redis.RedisError):
        yard.lose_messages()


def _stop_postgres(yard: Yard, random: Random, _: str) -> None:
    yard.postgres.stop()


def _double(yard: Yard, random: Random, _: str) -> None:
    """Messages for steps of this run and of others, once more and in any order."""
    if not (yard.postgres.is_up and yard.redis.is_up):
        return
    options = {"queue": "diskette", "ignore_result": True, "retry": False}
    with suppress(OperationalError), yard.queue() as app:
        for name, step in yard.ask(STEPS):
            app.send_task(f"diskette.{name}", (str(step),), **options)


def _cancel(yard: Yard, random: Random, run: str) -> None:
    if yard.postgres.is_up:
        yard.site.run("diskette_cancel", run)


STRIKES: Mapping[str, Strike] = {
    "child killed": _kill_child,
    "main process killed": _signal_main(SIGKILL),
    "worker killed": _kill_group,
    "worker stopped": _signal_main(SIGTERM),
    "worker quit": _signal_main(SIGQUIT),
    "worker frozen": _freeze_worker,
    "Redis killed": _kill_redis,
    "Redis frozen": _freeze_redis,
    "Redis emptied": _empty_redis,
    "database away": _stop_postgres,
    "messages doubled": _double,
    "cancelled": _cancel,
}
