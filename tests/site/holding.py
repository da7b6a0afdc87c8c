"""The tests' site whose worker stops in a named step: `celery -A tests.site.holding`.

Where is looked up whenever a step begins: in the file `DISKETTE_TEST_ORDER` if that is named, as
JSON with `hold`, `act` and `held`, so that workers need not be started anew for each test (and with
`outage`: how long a step waits for a database that is away); else in the environment.

`DISKETTE_TEST_HOLD` is `<kind>/<step>/<moment>`: before its work, within (at its first tick),
after, or beat: in its heartbeat's transaction. `DISKETTE_TEST_ACT` says what a process does that
comes there:

- `wait` (default): the first one writes its pid to the file `DISKETTE_TEST_HELD` and waits, as a
  step at work does, until it is killed, told to stop, or a file of that name and `.released` is
  there. Every later one passes.
- `stall`: the same, but deaf to the soft time limit, as one that is in a library.
- `linger`: each waits so, but looks at nothing, as one that waits for a disk.
- `die`: each kills itself, as the kernel does when memory is short.
- `gorge`: each asks for more memory than its limit allows.

`python -m tests.site.holding diskette_dump ...` is a command that stops so.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from signal import SIG_IGN, SIGKILL, SIGUSR1, signal
from typing import TYPE_CHECKING, Any

from celery.signals import worker_process_init

from tests.site.celery import app

if TYPE_CHECKING:
    from diskette.core.report import StepReport
    from diskette.models import Step
    from diskette.steps.context import Context

    Work = Callable[[Context], StepReport]

__all__ = ["app"]

WATCH_SECONDS = 0.02
ROOM_BYTES = 50_000_000
OUTAGE_SECONDS = 60.0


@worker_process_init.connect
def hold(**_: object) -> None:
    from diskette.steps import FUNCTIONS

    for (kind, step), work in FUNCTIONS.items():
        FUNCTIONS[kind, step] = held(f"{kind}/{step}", work)


def ordered() -> Mapping[str, str]:
    """Where to stop, what to do there, and the file to tell it in."""
    names = {"hold": "DISKETTE_TEST_HOLD", "act": "DISKETTE_TEST_ACT", "held": "DISKETTE_TEST_HELD"}
    if file := os.environ.get("DISKETTE_TEST_ORDER"):
        order: dict[str, str] = json.loads(Path(file).read_text())
        return order
    return {word: os.environ[name] for word, name in names.items() if name in os.environ}


def held_file() -> Path:
    return Path(ordered()["held"])


def held(name: str, work: Work) -> Work:
    from diskette import engine

    def held_work(context: Context) -> StepReport:
        order = ordered()
        engine.OUTAGE_SECONDS = float(order.get("outage", OUTAGE_SECONDS))
        place, _, moment = order.get("hold", "").rpartition("/")
        if place != name:
            return work(context)
        act = ACTS[order.get("act", "wait")]
        if moment == "beat":
            await_beat(context, act)
        if moment == "before":
            act(context.tick)
        report = work(ticking(context, act) if moment == "within" else context)
        if moment == "after":
            act(context.tick)
        return report

    return held_work


def ticking(context: Context, act: Callable[[Callable[[int], None]], None]) -> Context:
    """The same context, whose first tick is where it is held."""
    from diskette.steps.context import Context

    ticked: list[int] = []

    class Ticking(Context):
        def tick(self, done: int) -> None:
            context.tick(done)
            if not ticked:
                ticked.append(done)
                act(context.tick)

    return Ticking(**{each.name: getattr(context, each.name) for each in fields(context)})


def await_beat(context: Context, act: Callable[[Callable[[int], None]], None]) -> None:
    """Do it in the transaction of this step's next heartbeat, and go on when it is done."""
    from diskette.engine import step_changed

    done = threading.Event()

    def beaten(step: Step, **_: object) -> None:
        if step.pk == context.step.pk and step.state == "running" and not done.is_set():
            act(lambda _: None)
            done.set()

    step_changed.connect(beaten, weak=False)
    done.wait()


def wait(tick: Callable[[int], None]) -> None:
    held_by = held_file()
    try:
        with held_by.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    while not held_by.with_suffix(".released").exists():
        tick(0)
        threading.Event().wait(WATCH_SECONDS)


def stall(tick: Callable[[int], None]) -> None:
    heard = signal(SIGUSR1, SIG_IGN)
    try:
        wait(tick)
    finally:
        signal(SIGUSR1, heard)


def linger(_: Any) -> None:
    held_file().touch()
    threading.Event().wait()


def die(_: Any) -> None:
    os.kill(os.getpid(), SIGKILL)


def gorge(_: Any) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM_BYTES, hard))
    try:
        bytearray(2 * ROOM_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


ACTS = {"wait": wait, "stall": stall, "linger": linger, "die": die, "gorge": gorge}


def main() -> None:
    import django
    from django.core.management import execute_from_command_line

    django.setup()
    hold()
    execute_from_command_line(["manage.py", *sys.argv[1:]])


if __name__ == "__main__":
    main()
