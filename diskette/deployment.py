"""System checks of a deployment: settings of Celery and places of archives that will hurt.

Asked by `manage.py check --deploy` alone: a laptop may be as it likes. A project that has no
application of Celery runs its commands without one, and nothing of it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import humanize
from celery import current_app
from django.core import checks as django_checks
from django.core.checks import CheckMessage
from django.core.checks import Warning as Doubt

from diskette import checks, conf, messages, schedule
from diskette.core import plan
from diskette.core.space import nearest_existing

REDELIVERING = ("redis", "rediss", "sentinel", "sqs")
"""Brokers that deliver again what was not done after a while."""
DEFAULT_VISIBILITY_SECONDS = 60 * 60
LONG_STEP_SECONDS = 4 * 60 * 60
"""What a step may take where no limit says so."""
NAMES = {f"diskette.{name}" for name in (*schedule.JOBS, *plan.NAMES, "load")}
"""Of our tasks."""
JOBS = ("sweep", "dump")
"""What beat has to send, unless DISKETTE_SCHEDULE says never."""


def connect() -> None:
    """Let Django run the checks of deployments."""
    django_checks.register(check_celery, checks.TAG, deploy=True)
    django_checks.register(check_destination, checks.TAG, deploy=True)


def check_celery(**_: object) -> list[CheckMessage]:
    """What of Celery's settings makes nights fail, or loads be done where they should not."""
    if not messages.has_application() or _has_errors():
        return []
    questions = (_eager, _late_acks, _visibility, _results, _beat, _load_queue)
    return [doubt for question in questions for doubt in question(current_app.conf)]


def check_destination(**_: object) -> list[CheckMessage]:
    """Whether archives would be lost together with what they are archives of."""
    if _has_errors():
        return []
    destination = conf.destination()
    sources = [*(Path(path) for path, _ in conf.storages()), *conf.database_files(), Path("/")]
    beside = next((each for each in sources if _device(each) == _device(destination)), None)
    if beside is None:
        return []
    what = "the system" if beside == Path("/") else str(beside)
    return [
        Doubt(
            f"Archives in {destination} are kept on the same disk as {what}, and nowhere else: "
            "what takes that disk takes them, too.",
            hint="Mount a disk of another machine and name it in DISKETTE_DUMP_PATH. If archives "
            "are copied elsewhere each night, silence this check.",
            id="diskette.W075",
        )
    ]


def _has_errors() -> bool:
    """What is wrong with settings is told by the check of settings; here it would only crash."""
    return any(each.level >= django_checks.ERROR for each in checks.check_settings())


def _device(path: Path) -> int:
    return nearest_existing(path).stat().st_dev


def _eager(celery: Any) -> Iterator[CheckMessage]:
    if celery.task_always_eager:
        yield Doubt(
            "task_always_eager does every task in the process that asks for it: a page that begins "
            "a dump waits for all of it, and no limit of time holds.",
            hint="Remove task_always_eager. A command without --enqueue needs no workers anyway.",
            id="diskette.W070",
        )


def _late_acks(celery: Any) -> Iterator[CheckMessage]:
    named = [
        name for name in ("task_acks_late", "task_reject_on_worker_lost") if getattr(celery, name)
    ]
    if _are_annotated_late(celery.task_annotations):
        named.append("task_annotations")
    if named:
        yield Doubt(
            f"{' and '.join(named)} deliver messages again, also those that are being worked on: "
            "a task that kills its worker would be begun for ever.",
            hint="Remove them: a step that is lost comes back by its lease, once. A task of your "
            "own can have acks_late=True for itself.",
            id="diskette.W071",
        )


def _are_annotated_late(annotations: Any) -> bool:
    """Whether a dict of them makes our tasks ack late, whatever they say themselves."""
    if not isinstance(annotations, Mapping):
        return False
    ours = [each for name, each in annotations.items() if name == "*" or name in NAMES]
    return any(isinstance(each, Mapping) and each.get("acks_late") for each in ours)


def _visibility(celery: Any) -> Iterator[CheckMessage]:
    if not any(urlsplit(each).scheme in REDELIVERING for each in _brokers(celery)):
        return
    options = celery.broker_transport_options or {}
    timeout = options.get("visibility_timeout", DEFAULT_VISIBILITY_SECONDS)
    limit = celery.task_time_limit or celery.task_soft_time_limit or LONG_STEP_SECONDS
    if not isinstance(timeout, (int, float)):
        what = (
            f"broker_transport_options['visibility_timeout'] is {timeout!r}, no number of seconds."
        )
    elif timeout < limit:
        what = (
            f"The broker delivers a message again after {humanize.precisedelta(timeout)}, but a "
            f"step may take {humanize.precisedelta(limit)}: what waits behind it is done twice."
        )
    else:
        what = ""
    if what:
        yield Doubt(
            what,
            hint="broker_transport_options = {'visibility_timeout': 172800}, longer than any step "
            "and any wait in the queue; the same in result_backend_transport_options.",
            id="diskette.W072",
        )


def _brokers(celery: Any) -> list[str]:
    """Addresses that workers read from: one, a text with semicolons between them, or a list."""
    given = celery.broker_read_url or ""
    return given.split(";") if isinstance(given, str) else list(map(str, given))


def _results(celery: Any) -> Iterator[CheckMessage]:
    kept, history = celery.result_expires, conf.history()
    seconds = kept.total_seconds() if hasattr(kept, "total_seconds") else float(kept or 0)
    if not seconds or "django" not in str(celery.result_backend):
        return
    if history is None or seconds < history.total_seconds():
        yield Doubt(
            f"result_expires deletes what runs have told after {humanize.precisedelta(seconds)}.",
            hint="result_expires = None: what is older than DISKETTE_HISTORY is removed anyway.",
            id="diskette.W073",
        )


def _beat(celery: Any) -> Iterator[CheckMessage]:
    sent = {entry.get("task") for entry in (celery.beat_schedule or {}).values()}
    if "DatabaseScheduler" in str(celery.beat_scheduler):
        yield from _reset_rows(sent)
        return  # what it sends are rows, and no check reads a database; diskette_health sees it
    wanted = [f"diskette.{job}" for job in JOBS if conf.is_scheduled(job)]
    if missing := [task for task in wanted if task not in sent]:
        yield Doubt(
            f"Beat does not send {' and '.join(missing)}.",
            hint="app.conf.beat_schedule = diskette.beat_schedule(), beside entries of your own; "
            "or DISKETTE_SCHEDULE = {'dump': None} for what something else begins.",
            id="diskette.W074",
        )


def _reset_rows(sent: set[Any]) -> Iterator[CheckMessage]:
    if any(str(task).startswith("diskette.") for task in sent):
        yield Doubt(
            "The DatabaseScheduler takes app.conf.beat_schedule over into its rows at each start: "
            "messages then never expire, and a night that was missed is made up for twice.",
            hint="Leave Diskette's entries out of app.conf.beat_schedule, and run "
            "`manage.py diskette_schedule` when you deploy.",
            id="diskette.W077",
        )


def _load_queue(celery: Any) -> Iterator[CheckMessage]:
    usual = str(celery.task_default_queue)
    queue = conf.load_queue() or usual
    if queue in {usual, conf.queue(), *_declared(celery.task_queues)}:
        yield Doubt(
            f"Loads wait in the queue {queue!r}, which every worker serves: each of them can be "
            "asked to replace the data.",
            hint="DISKETTE_LOAD_QUEUE = 'diskette-load', and one worker with -Q diskette-load, "
            "stopped where nobody shall ever load. Leave it out of task_queues.",
            id="diskette.W076",
        )


def _declared(queues: Any) -> Iterator[str]:
    """A worker that is started without -Q serves these."""
    for queue in queues or ():
        yield queue if isinstance(queue, str) else str(queue.name)
