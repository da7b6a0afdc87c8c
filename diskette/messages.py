"""Asking workers for steps. A message is a hint: its loss costs time, never a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from celery import current_app
from kombu.exceptions import OperationalError

from diskette import conf
from diskette.core.exceptions import BrokerUnreachable
from diskette.core.logs import logger_of
from diskette.core.plan import Kind
from diskette.models import Step

if TYPE_CHECKING:
    from kombu import Connection

logger = logger_of(__name__)

MADE_UP = "default"
ANSWER_SECONDS = 4
RETRY_POLICY = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.3}


def has_application() -> bool:
    """Whether the project has an application of Celery, not only the one Celery makes up."""
    return current_app.main != MADE_UP


def send(steps: Iterable[Step]) -> None:
    """Ask workers for these steps. Raises BrokerUnreachable."""
    if not (steps := list(steps)):
        return  # a run in one process needs no broker, nor the memory of its driver
    try:
        with connected() as connection:
            for step in steps:
                _send(step, connection)
    except (OperationalError, OSError) as error:
        broker = current_app.connection_for_write().as_uri()
        raise BrokerUnreachable(broker, str(error)) from error


def publish(steps: Iterable[Step]) -> None:
    """The same from within a run: what cannot be sent now is sent by the next sweep."""
    try:
        send(steps)
    except BrokerUnreachable as error:
        logger.warning("steps wait for the next sweep: %s", error)


@contextmanager
def connected() -> Iterator[Connection]:
    """A connection of one's own, opened when it is needed, that never waits for ever.

    A Redis that is frozen takes connections and says nothing; kombu sets no limit by itself.
    """
    with current_app.connection_for_write() as connection:
        if "redis" in str(connection.transport.driver_type):
            limits = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
            connection.transport_options = {**(connection.transport_options or {}), **limits}
        yield connection


def _send(step: Step, connection: Connection) -> None:
    queue = conf.load_queue() if step.run.kind == Kind.LOAD else conf.queue()
    current_app.send_task(
        f"diskette.{step.name}",
        (str(step.pk),),
        task_id=step.result_id,
        queue=queue,
        ignore_result=True,
        retry_policy=RETRY_POLICY,
        connection=connection,
    )
