"""Each problem of the backups: fallen into, told with its cure, and over once that is done."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from django.core import mail
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis as Client

from diskette import conf, engine, health, messages, tasks
from diskette.core import patience
from diskette.core.assembling import write_archive
from diskette.core.plan import Kind
from diskette.metrics import Collector
from diskette.models import Archive, Run
from tests.commands.conftest import archive, project, run
from tests.core import samples
from tests.engine.conftest import planned
from tests.filesystems import hung, mounted
from tests.finding_codes import _codes_of
from worker.servers import await_condition, end, spawn
from worker.sites import Site

__all__ = ["archive", "project"]

pytestmark = pytest.mark.django_db(transaction=True)
TREE = "storages/media.tar.zst"


@pytest.fixture(autouse=True)
def alone(settings):
    """No beat and no workers are wanted, and disks are as full as they are."""
    settings.DISKETTE_SCHEDULE = {"sweep": None}
    settings.DISKETTE_HEALTH = {"free_percent": None}
    return settings


def codes() -> list[str]:
    return [each.code for each in health.examine().problems]


@pytest.fixture
def night(project) -> Callable[..., Path]:
    """An archive of so many days ago, as a night makes it: `night(3, kilobytes=10)`."""

    def night(days: float, *, kilobytes: int = 10) -> Path:
        project.archives.mkdir(exist_ok=True)
        contents = samples.CONTENTS | {TREE: os.urandom(kilobytes * 1000)}
        path = project.archives / f"{days}.tar"
        instant = conf.now() - timedelta(days=days)
        manifest = samples.manifest(contents, label="tests", instant=instant)
        write_archive(path, manifest, samples.files(project.base / "parts", contents))
        return path

    return night


# -- archives ---------------------------------------------------------------------------


def test_backups_that_are_well_have_nothing_told(night):
    night(0.1)
    done = run("diskette_health")
    assert done.code == 0, done.err
    assert done.out.startswith("archive  0.1.tar, ")
    assert done.last_line == "Nothing is wrong."


def test_without_an_archive_a_dump_is_asked_for_and_helps(project):
    project.archives.mkdir()
    done = run("diskette_health")
    assert done.code == 4
    assert f"There is no whole archive of tests in {project.archives}." in done.out
    assert "`manage.py diskette_dump` makes one now." in done.out
    assert run("diskette_dump").code == 0
    assert run("diskette_health").code == 0


def test_an_archive_of_the_night_before_last_is_late(night):
    night(2)
    (problem,) = health.examine().problems
    assert (problem.code, problem.severity) == ("too-old", "error")
    assert problem.message == "The newest archive, 2.tar, is 2 days old; 26 hours are allowed."
    night(1)
    assert codes() == []


def test_what_is_not_of_all_applications_or_damaged_is_no_nights_archive(night, project):
    night(2)
    assert run("diskette_dump", "--app", "accounts").code == 0
    assert codes() == ["too-old"]
    night(0.1).write_bytes(b"cut off")
    assert codes() == ["too-old"]
    assert run("diskette_dump").code == 0
    assert codes() == []


def test_a_size_far_from_the_usual_is_told_until_it_is_usual(night):
    for days in (9, 8, 7, 6, 5):
        night(days, kilobytes=100)
    night(0.9, kilobytes=1)
    (problem,) = health.examine().problems
    assert problem.code == "archive-size"
    assert "The newest archive, 0.9.tar, has 1" in problem.message
    assert "kB were usual" in problem.message
    for days in (0.8, 0.7, 0.6):
        night(days, kilobytes=1)
    assert codes() == []


def test_without_a_proof_for_long_a_drill_is_asked_for_and_helps(archive):
    Archive.objects.update(instant=timezone.now() - timedelta(days=36))
    (problem,) = health.examine().problems
    assert problem.code == "drill-late"
    assert "`manage.py diskette_verify --drill`" in problem.hint
    assert run("diskette_verify", "--drill").code == 0
    assert codes() == []
    Archive.objects.update(proven_at=timezone.now() - timedelta(days=36))
    (problem,) = health.examine().problems
    assert problem.message == (
        "No archive of tests was proven to be restorable for 36 days; 35 days are allowed."
    )


# -- the destination --------------------------------------------------------------------


def test_a_destination_that_is_not_mounted_is_told_and_mounted_again(night):
    made = night(0.1)
    Archive.objects.create(path=str(made), name=made.name, instant=timezone.now(), bytes=1)
    directory = made.parent
    directory.rename(directory.with_name("elsewhere"))
    (problem,) = health.examine().problems
    assert problem.code == "destination-away"
    assert problem.message.endswith("cannot be used: there is no such directory.")
    directory.mkdir()
    (problem,) = health.examine().problems
    assert problem.message.endswith("it is empty, but 1 archives were made there.")
    directory.rmdir()
    directory.with_name("elsewhere").rename(directory)
    assert codes() == []


def test_a_destination_that_cannot_be_written_to_is_told(project, settings, tmp_path):
    with mounted(tmp_path / "disk", "ro") as settings.DISKETTE_DUMP_PATH:
        (problem,) = health.examine().problems
    assert (problem.code, problem.message.split(": ")[1]) == (
        "destination-away",
        "this account cannot write to it.",
    )


def test_a_destination_that_does_not_answer_is_told_and_answers_again(night, settings, monkeypatch):
    """Every look waits for ever. The command says so; its sweep, whose place is there, goes on."""
    directory = night(0.1).parent
    settings.DISKETTE_WORKSPACE = None
    monkeypatch.setattr(patience, "SECONDS", 0.5)
    with hung(directory):
        done = run("diskette_health")
        (problem,) = health.examine().problems
    assert done.code == 4
    assert "error [destination-away] The destination" in done.out
    assert "it has not answered for 0.5 seconds, as a mount does whose server is gone" in done.out
    assert "it still does not answer" in problem.message
    assert "its server first" in problem.hint
    assert await_condition(lambda: codes() == [], seconds=10)


def test_a_process_that_saw_a_hung_mount_still_ends(tmp_path):
    code = (
        "import sys; from pathlib import Path; from diskette.core import catalog, patience\n"
        "place = Path(sys.argv[1])\n"
        "patience.within(place, lambda: catalog.find(place), 0.5)"
    )
    with hung(tmp_path / "disk") as directory:
        done = subprocess.run(
            [sys.executable, "-c", code, directory], capture_output=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert b"StorageError" in done.stderr.splitlines()[-1]


def test_a_destination_that_is_nearly_full_is_told_until_a_prune(project, settings, tmp_path):
    settings.DISKETTE_HEALTH = {}
    settings.DISKETTE_SAFETY_DUMP = False
    (project.media / "bulk").write_bytes(os.urandom(2_700_000))
    with mounted(tmp_path / "disk", "size=9m") as settings.DISKETTE_DUMP_PATH:
        assert run("diskette_dump").code == 0
        assert codes() == []
        assert run("diskette_dump").code == 0
        (problem,) = health.examine().problems
        assert problem.code == "destination-full"
        assert "DISKETTE_RETENTION, `manage.py diskette_prune`" in problem.hint
        assert run("diskette_prune", "--keep-last", "1", "--no-input").code == 0
        assert codes() == []


# -- runs -------------------------------------------------------------------------------


def test_failures_in_a_row_are_told_until_one_succeeds(night, project, settings):
    night(0.1)
    settings.DISKETTE_STORAGES = [project.base / "lost"]
    assert run("diskette_dump").code != 0
    assert codes() == []
    assert run("diskette_dump").code != 0
    (problem,) = health.examine().problems
    assert (problem.code, problem.target) == ("failures-in-a-row", "dump")
    assert problem.message.startswith("The last 2 dumps failed. The latest: ")
    assert str(project.base / "lost") in problem.message
    assert f"`manage.py diskette_status {Run.objects.first().pk}`" in problem.hint
    assert problem.hint.endswith("Then `manage.py diskette_dump`.")
    settings.DISKETTE_STORAGES = [project.media]
    assert run("diskette_dump").code == 0
    assert codes() == []


def test_a_run_that_does_not_end_is_told_until_it_is_cancelled(night, settings):
    settings.USE_TZ = False  # instants of rows are naive then
    night(0.1)
    begun = engine.create(Kind.DUMP, {}, planned("check_space"), inline=False)
    assert codes() == []
    Run.objects.filter(pk=begun.pk).update(created_at=timezone.now() - timedelta(hours=13))
    (problem,) = health.examine().problems
    assert problem.code == "run-open"
    assert problem.message == (
        f"dump {begun.pk} has not ended for 13 hours; 12 hours are allowed. "
        "At work or waiting: check_space."
    )
    assert f"`manage.py diskette_cancel {begun.pk}` ends it" in problem.hint
    assert run("diskette_cancel", str(begun.pk)).code == 0
    assert codes() == []


# -- beat, workers, broker --------------------------------------------------------------


@pytest.mark.services
def test_a_broker_and_workers_that_are_away_are_told_until_they_are_there(
    night, settings, monkeypatch, private_redis, tmp_path
):
    settings.DISKETTE_SCHEDULE = {}
    night(0.1)
    app = Celery("default", set_as_current=False, broker=private_redis.url)
    for module in (health, messages):
        monkeypatch.setattr(module, "current_app", app)
    private_redis.kill()
    assert codes() == []  # a project without an application of its own has no workers
    app.main = "shop"
    assert codes() == ["sweep-late", "broker-away"]
    tasks.sweep()
    private_redis.start()
    assert codes() == ["workers-away"]
    private_redis.freeze()
    assert codes() == ["broker-away"]
    private_redis.thaw()
    command = [sys.executable, "-m", "celery", "-b", private_redis.url, "worker", "-P", "solo"]
    worker = spawn(command, log=tmp_path / "worker.log", cwd=tmp_path, env={**os.environ})
    try:
        assert await_condition(lambda: codes() == [], seconds=30)
    finally:
        end(worker)


@pytest.mark.services
@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["CONFIG", "SET", "maxmemory", "1"], "used memory > 'maxmemory'"),
        (["ACL", "SETUSER", "default", "resetkeys", "~diskette*"], "no permissions to access"),
    ],
)
def test_a_broker_that_refuses_to_ask_workers_is_told_with_all_else(
    settings, project, monkeypatch, private_redis, command, why
):
    settings.DISKETTE_SCHEDULE = {}
    app = Celery("shop", set_as_current=False, broker=private_redis.url)
    for module in (health, messages):
        monkeypatch.setattr(module, "current_app", app)
    with Client.from_url(private_redis.url) as client:
        client.execute_command(*command)
    problems = {each.code: each.message for each in health.examine().problems}
    assert list(problems) == ["destination-away", "sweep-late", "broker-away"]
    assert why in problems["broker-away"]


def test_a_sweep_of_long_ago_is_told_until_a_worker_sweeps(night, settings, monkeypatch):
    night(0.1)
    settings.DISKETTE_SCHEDULE = {}
    settings.DISKETTE_HEALTH = {"free_percent": None, "workers": None}
    health.saw_sweep()
    assert codes() == []
    now = conf.now()
    monkeypatch.setattr(conf, "now", lambda: now + timedelta(minutes=20))
    (problem,) = health.examine().problems
    assert problem.code == "sweep-late"
    assert problem.message.startswith(
        "No worker has swept for 20 minutes; 15 minutes are allowed: beat does not send it"
    )
    monkeypatch.undo()
    tasks.sweep()
    assert codes() == []


# -- who is told, and how ---------------------------------------------------------------


def subjects() -> list[str]:
    return [each.subject.removeprefix("[Django] Diskette: ") for each in mail.outbox]


def test_trouble_is_told_when_it_is_new_and_each_day_and_when_it_is_over(
    project, admins, monkeypatch
):
    assert tasks.health()["healthy"] is False
    tasks.health()
    assert subjects() == ["backups of tests have a problem"]
    body = mail.outbox[0].body
    assert "error [destination-away] The destination" in body
    assert "  cure: Mount it" in body
    assert "more     python manage.py diskette_health\n" in body

    later = conf.now() + timedelta(hours=25)
    with monkeypatch.context() as patched:
        patched.setattr(conf, "now", lambda: later)
        tasks.health()
    assert subjects()[1:] == ["backups of tests have a problem"]

    assert run("diskette_dump").code == 0
    assert run("diskette_health", "--tell").code == 0
    assert run("diskette_health", "--tell").code == 0
    assert subjects()[2:] == ["backups of tests are in order again"]
    assert "  destination-away\n" in mail.outbox[2].body


def test_what_nobody_could_be_told_is_told_by_the_next_report(
    night, project, admins, mailbox, settings
):
    for is_well in (False, True):
        if is_well:
            night(0.1)
        for mailbox.refuse in (True, False, False):
            tasks.health()
    problem, again = mailbox.subjects
    assert "have a problem" in problem
    assert "in order again" in again


def test_where_one_channel_is_open_trouble_is_told_there_once(project, admins, mailbox, settings):
    settings.DISKETTE_NOTIFY_SECRET_URLS = ["json://127.0.0.1:1/"]
    tasks.health()
    tasks.health()
    assert len(mailbox.subjects) == 1


def test_what_comes_to_trouble_that_is_known_is_told_with_it(night, project, admins, settings):
    night(0.1)
    settings.DISKETTE_HEALTH = {"archive_hours": 1e-9, "free_percent": None}
    tasks.health()
    settings.DISKETTE_HEALTH |= {"failures": 1}
    settings.DISKETTE_STORAGES = [project.base / "lost"]
    assert run("diskette_dump").code != 0
    mail.outbox.clear()
    tasks.health()
    assert subjects() == ["backups of tests have 2 problems"]


def test_each_report_pings_and_says_whether_all_is_well(night, project, settings, web):
    settings.DISKETTE_NOTIFY_SECRET_PINGS = {"health": f"{web.url}/uuid"}
    tasks.health()
    night(0.1)
    tasks.health()
    assert run("diskette_health").code == 0
    assert web.paths == ["/uuid/fail", "/uuid"]


def test_a_command_that_only_asks_tells_nobody(project, admins):
    assert run("diskette_health").code == 4
    assert mail.outbox == []


def test_monitors_get_one_document_and_an_exit_code(project):
    project.archives.mkdir()
    done = run("diskette_health", format="json")
    shape = json.loads(done.out)
    assert done.code == 4
    assert (shape["healthy"], shape["label"]) == (False, "tests")
    assert [each["code"] for each in shape["problems"]] == ["too-old"]
    assert shape["figures"]["failures_in_a_row"] == {"dump": 0, "drill": 0, "prune": 0}


ASKED_BY_PROMETHEUS = """
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from diskette.metrics import Collector
registry = CollectorRegistry()
registry.register(Collector())
Gauge("visitors", "Of the site's own.", registry=registry).set(7)
print(generate_latest(registry).decode())
"""


def samples_of(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {
        " ".join([each.name, *(v for k, v in each.labels.items() if k != "label")]): each.value
        for family in families
        for each in family.samples
    }


def test_prometheus_gets_numbers_and_no_exit_code(archive):
    # The one dump here: when it ended and how long it took are numbers, too.
    registry = CollectorRegistry()
    registry.register(Collector())
    assert registry.get_sample_value("diskette_healthy", {"label": "tests"}) == 1
    os.truncate(archive, 10)
    done = run("diskette_health", format="prometheus")
    assert done.code == 0
    found = samples_of(done.out)
    source = Path(health.__file__)
    assert set(_codes_of(ast.parse(source.read_text()), source)) == set(health.CODES)
    assert {f"diskette_problem {code}" for code in health.CODES} <= set(found)
    assert found["diskette_healthy"] == 0
    assert found["diskette_problem too-old"] == 1
    assert found["diskette_problem run-open"] == 0
    assert found["diskette_failures_in_a_row dump"] == 0
    assert found["diskette_success_timestamp_seconds dump"] > 0
    assert "diskette_archive_bytes" not in found


def test_a_database_that_is_away_takes_no_other_numbers_away(tmp_path):
    site = Site(directory=tmp_path, database_url="postgresql://u@127.0.0.1:1/x")
    done = site.run("shell", "-v0", "-c", ASKED_BY_PROMETHEUS)
    assert done.returncode == 0, done.stderr
    assert samples_of(done.stdout) == {"visitors": 7}
    assert "Connection refused" in done.stderr


def test_without_prometheus_client_the_command_says_how_to_get_it(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "diskette.metrics")
    monkeypatch.delattr("diskette.metrics")
    done = run("diskette_health", format="prometheus")
    assert done.code == 2
    assert 'pip install "diskette[prometheus]"' in done.err
