"""Messages that are lost, doubled, late, out of order or forged change nothing but the hour."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.kills.scene import LEASE_SECONDS, PATIENCE_SECONDS, Healing
from tests.yard import WORKERS, Yard
from worker.servers import await_condition

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("healing")]

COPIES = 3
RUN_SECONDS = 8
"""What the run itself takes, on a slow machine."""
STEPS = "SELECT name, id, state, attempt, finished_at FROM diskette_step WHERE run_id = %s"
RESULTS = (
    "SELECT task_id, status, result, task_name FROM django_celery_results_taskresult"
    " WHERE task_id LIKE %s ORDER BY task_id"
)
NOTHING_TO_TAKE = "is not to be taken"


def send_all(yard: Yard, run: str) -> int:
    """Each step's message several times, the last step's first. Returns how many."""
    steps = [(name, str(step)) for name, step, *_ in yard.ask(f"{STEPS} ORDER BY position", run)]
    with yard.queue() as app:
        for name, step in [*reversed(steps)] * COPIES:
            app.send_task(f"diskette.{name}", (step,), queue="diskette", ignore_result=True)
    return len(steps) * COPIES


def said(yard: Yard, *words: str) -> int:
    """How many lines the workers printed with all of these words."""
    logs = [yard.processes[name].log.read_text() for name in WORKERS]
    lines = [line for log in logs for line in log.splitlines()]
    return sum(all(word in line for word in words) for line in lines)


@pytest.mark.fault("Redis is emptied: all messages are lost")
def test_lost_messages(yard: Yard, healing: Healing):
    for name in WORKERS:
        yard.processes[name].freeze()
    yard.await_unread()
    run = yard.begin_dump()
    yard.lose_messages()
    healing.begins()
    for name in WORKERS:
        yard.processes[name].thaw()
    end = healing.ends(yard.site, run, within=LEASE_SECONDS + RUN_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert set(end.attempts.values()) == {1}
    assert yard.left() == []


@pytest.mark.fault("every message comes four times, and out of order")
def test_doubled_messages(yard: Yard, healing: Healing):
    archives = len(list(yard.site.archives.glob("*.tar")))
    yard.hold("dump/dump_application/within")
    run = yard.begin_dump()
    yard.await_held()
    healing.begins()
    send_all(yard, run)
    yard.release()
    end = healing.ends(yard.site, run, within=RUN_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert set(end.attempts.values()) == {1}
    assert len(list(yard.site.archives.glob("*.tar"))) == archives + 1
    assert yard.left() == []


@pytest.mark.fault("every step is revoked, as Flower's button does")
def test_revoked_messages(yard: Yard, healing: Healing):
    yard.hold("dump/dump_application/within")
    run = yard.begin_dump()
    yard.await_held()
    steps = yard.ask("SELECT name, subject FROM diskette_step WHERE run_id = %s", run)
    ids = ["/".join(filter(None, (run, name, subject))) for name, subject in steps]
    with yard.queue() as app:
        app.control.revoke(ids)
    assert await_condition(
        lambda: said(yard, "flagged as revoked", run) == len(WORKERS), seconds=30
    )
    healing.begins()
    yard.release()
    # Each worker passes one message over, and forgets.
    end = healing.ends(yard.site, run, within=len(WORKERS) * LEASE_SECONDS + RUN_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert yard.left() == []


@pytest.mark.fault("messages come when their run has long ended")
def test_late_messages(yard: Yard, healing: Healing):
    before = yard.picture()
    run = yard.begin_load()
    healing.begins()
    end = healing.ends(yard.site, run, within=RUN_SECONDS)
    assert end.state == "succeeded", yard.story(run)
    assert yard.picture() == yard.whole != before
    rows, ignored = yard.ask(STEPS, run), said(yard, NOTHING_TO_TAKE)
    sent = send_all(yard, run)
    assert await_condition(
        lambda: said(yard, NOTHING_TO_TAKE) == ignored + sent, seconds=PATIENCE_SECONDS
    ), yard.logs()
    assert yard.ask(STEPS, run) == rows
    assert yard.picture() == yard.whole
    assert yard.left() == []


@pytest.mark.fault("a message of an unknown task, an expired or a foreign one bears a run's id")
def test_forged_messages(yard: Yard, healing: Healing):
    run = yard.begin_dump()
    healing.begins()
    healing.ends(yard.site, run, within=RUN_SECONDS)
    results = yard.ask(RESULTS, f"{run}%")
    past = dt.datetime.now(tz=dt.UTC) - dt.timedelta(hours=1)
    ids = [task_id for task_id, *_ in results]
    with yard.queue() as app:
        for task_id in ids:
            app.send_task("celery.accumulate", (1, 2), task_id=task_id, queue="diskette")
        for task_id in ids:
            app.send_task("diskette.nothing", task_id=task_id, queue="diskette")
            app.send_task("diskette.verify", task_id=task_id, queue="diskette", expires=past)
    assert await_condition(
        lambda: (
            said(yard, "unregistered task") >= len(ids)
            and said(yard, "celery.accumulate[", " succeeded") + said(yard, "Discarding revoked")
            >= 2 * len(ids)
        ),
        seconds=PATIENCE_SECONDS,
    ), yard.logs()
    assert yard.ask(RESULTS, f"{run}%") == results
    assert yard.state(run) == "succeeded"
    for name in WORKERS:
        yard.stop(name)  # Celery itself stores such results, on a connection that it keeps
    assert yard.left() == []
