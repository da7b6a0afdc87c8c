"""The tests' site whose worker stops in a named step: `celery -A tests.site.holding`.

`DISKETTE_TEST_HOLD` is `<kind>/<step>/<before|after>`: the first process that comes there
writes its pid to the file `DISKETTE_TEST_HELD` and waits to be killed. Every later one passes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from celery.signals import worker_process_init

from worker.celery import app

if TYPE_CHECKING:
    from diskette.core.report import StepReport
    from diskette.steps.context import Context

__all__ = ["app"]


@worker_process_init.connect
def hold(**_: object) -> None:
    from diskette.steps import FUNCTIONS

    kind, step, moment = os.environ["DISKETTE_TEST_HOLD"].split("/")
    FUNCTIONS[kind, step] = held(FUNCTIONS[kind, step], moment)


def held(work: Callable[[Context], StepReport], moment: str) -> Callable[[Context], StepReport]:
    def held_work(context: Context) -> StepReport:
        if moment == "before":
            wait_to_be_killed()
        report = work(context)
        if moment == "after":
            wait_to_be_killed()
        return report

    return held_work


def wait_to_be_killed() -> None:
    try:
        with Path(os.environ["DISKETTE_TEST_HELD"]).open("x") as held_by:
            held_by.write(str(os.getpid()))
    except FileExistsError:
        return
    threading.Event().wait()
