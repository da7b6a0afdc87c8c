from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connections

from diskette.core.exceptions import DatabaseAway, InsufficientSpace, SnapshotLost
from diskette.data import dump, snapshot
from diskette.data.engines import postgresql_snapshot, snapshot_holder
from tests.data.conftest import POSTGRESQL, SQLITE
from tests.filesystems import mounted
from tests.library import models as library

WAIT_SECONDS = 20

pytestmark = pytest.mark.usefixtures("databases")


@pytest.fixture(params=[SQLITE, POSTGRESQL], ids=["sqlite", "postgresql"])
def database(request, settings):
    settings.DISKETTE_DATABASE = request.param
    return request.param


@pytest.fixture
def workspace(tmp_path):
    """Snapshots that a test leaves open end with it, as they do with a run."""
    place = tmp_path / "workspace"
    place.mkdir()
    yield place
    shutil.rmtree(place, ignore_errors=True)
    _until(lambda: not _holders(place))


def test_every_reading_shows_the_instant_whatever_is_written_meanwhile(database, workspace):
    library.Genre.objects.using(database).create(name="before")
    taken = snapshot.open_snapshot(database, workspace)
    expected = dump.digest_model(library.Genre, using=database, tick=_unwatched)
    library.Genre.objects.using(database).create(name="after")
    library.Genre.objects.using(database).filter(name="before").delete()

    for _ in range(2):
        with snapshot.reading(taken, workspace) as alias:
            assert [genre.name for genre in library.Genre.objects.using(alias)] == ["before"]
            assert dump.digest_model(library.Genre, using=alias, tick=_unwatched) == expected
    snapshot.close_snapshot(taken, workspace)
    assert list(workspace.iterdir()) == []


def test_a_snapshot_says_how_it_was_taken(workspace):
    methods = {}
    for database in (SQLITE, POSTGRESQL):
        taken = snapshot.open_snapshot(database, workspace)
        methods[taken.database] = (taken.engine, taken.method)
        assert taken.name
        assert taken.at.endswith("+00:00")
    assert methods == {
        SQLITE: ("sqlite", "copy"),
        POSTGRESQL: ("postgresql", "exported"),
    }


def test_nothing_can_be_written_through_a_reading(database, workspace):
    taken = snapshot.open_snapshot(database, workspace)
    with pytest.raises(Exception, match=r"read.?only"), snapshot.reading(taken, workspace) as alias:
        library.Genre.objects.using(alias).create(name="no")


def test_the_alias_is_gone_after_the_reading(database, workspace):
    taken = snapshot.open_snapshot(database, workspace)
    with snapshot.reading(taken, workspace) as alias:
        assert alias != database
    with pytest.raises(Exception, match="doesn't exist"):
        connections[alias].cursor()


def test_a_closed_snapshot_is_lost_to_later_readers_and_not_to_present_ones(database, workspace):
    taken = snapshot.open_snapshot(database, workspace)
    with snapshot.reading(taken, workspace) as alias:
        snapshot.close_snapshot(taken, workspace)
        _until(lambda: not _holders(workspace))
        assert library.Genre.objects.using(alias).count() == 0
    with pytest.raises(SnapshotLost), snapshot.reading(taken, workspace):
        pass


def test_closing_twice_or_after_the_workspace_is_gone_does_no_harm(database, workspace):
    taken = snapshot.open_snapshot(database, workspace)
    snapshot.close_snapshot(taken, workspace)
    snapshot.close_snapshot(taken, workspace)
    shutil.rmtree(workspace)
    snapshot.close_snapshot(taken, workspace)


def test_two_snapshots_of_one_database_do_not_meet(database, workspace):
    first = snapshot.open_snapshot(database, workspace)
    library.Genre.objects.using(database).create(name="between")
    second = snapshot.open_snapshot(database, workspace)
    snapshot.close_snapshot(first, workspace)
    with snapshot.reading(second, workspace) as alias:
        assert library.Genre.objects.using(alias).count() == 1


# -- SQLite ----------------------------------------------------------------------------


def test_the_copy_is_private_and_its_size_is_known_beforehand(workspace):
    needed = snapshot.room_needed(SQLITE)
    taken = snapshot.open_snapshot(SQLITE, workspace)
    found = (workspace / taken.name).stat()
    assert found.st_mode & 0o777 == 0o600
    assert 0 < found.st_size <= needed
    assert snapshot.room_needed(POSTGRESQL) == 0


def test_a_copy_that_finds_no_room_says_so_and_leaves_nothing(tmp_path):
    library.Draft.objects.using(SQLITE).bulk_create(
        library.Draft(title=os.urandom(40).hex()) for _ in range(20_000)
    )
    with mounted(tmp_path / "small", "size=1m") as small:
        with pytest.raises(InsufficientSpace, match="a copy of database"):
            snapshot.open_snapshot(SQLITE, small)
        assert list(small.iterdir()) == []


def test_a_database_that_journals_ahead_is_copied_too(workspace):
    with connections[SQLITE].cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
    try:
        library.Genre.objects.using(SQLITE).create(name="in the log")
        taken = snapshot.open_snapshot(SQLITE, workspace)
        with snapshot.reading(taken, workspace) as alias:
            assert library.Genre.objects.using(alias).count() == 1
    finally:
        with connections[SQLITE].cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = DELETE")


# -- PostgreSQL ------------------------------------------------------------------------


def test_the_holder_ends_with_the_workspace(workspace):
    snapshot.open_snapshot(POSTGRESQL, workspace)
    assert len(_holders(workspace)) == 1
    shutil.rmtree(workspace)
    _until(lambda: not _holders(workspace))


def test_the_holder_outlives_the_process_that_opened_the_snapshot(workspace):
    """Killed with its whole group, as a worker is."""
    request = {
        "connection": postgresql_snapshot._parameters(POSTGRESQL),
        "lease": str(workspace / "a.lease"),
        "lifetime_seconds": 60,
    }
    (workspace / "a.lease").touch()
    program = (
        "import subprocess, sys; sys.path.insert(0, '.')\n"
        f"p = subprocess.Popen([sys.executable, '-P', {snapshot_holder.__file__!r}],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)\n"
        f"print(p.communicate({json.dumps(request).encode()!r})[0].decode(), flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as opener:
        answer = json.loads(opener.stdout.readline())
        os.killpg(opener.pid, signal.SIGKILL)
    (workspace / "a.lease").rename(workspace / f"snapshot-{answer['name']}.lease")
    taken = snapshot.Snapshot(database=POSTGRESQL, engine="postgresql", method="exported", **answer)
    with snapshot.reading(taken, workspace) as alias:
        assert library.Genre.objects.using(alias).count() == 0


def test_the_holder_ends_when_its_time_is_over(workspace, monkeypatch):
    monkeypatch.setattr(postgresql_snapshot, "LIFETIME_SECONDS", 0.1)
    taken = snapshot.open_snapshot(POSTGRESQL, workspace)
    _until(lambda: not _holders(workspace))
    lost = pytest.raises(SnapshotLost, match="no longer has the snapshot")
    with lost, snapshot.reading(taken, workspace):
        pass


def test_the_holder_outlasts_a_server_that_ends_idle_transactions(workspace):
    name = connections[POSTGRESQL].settings_dict["NAME"]
    with connections[POSTGRESQL].cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET idle_in_transaction_session_timeout = 200')
    try:
        taken = snapshot.open_snapshot(POSTGRESQL, workspace)
        time.sleep(1)  # the time itself is what is tested
        with snapshot.reading(taken, workspace):
            pass
    finally:
        with connections[POSTGRESQL].cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET idle_in_transaction_session_timeout')


def test_a_snapshot_whose_server_process_is_ended_is_lost(workspace):
    taken = snapshot.open_snapshot(POSTGRESQL, workspace)
    with connections[POSTGRESQL].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    _until(lambda: not _holders(workspace))
    with pytest.raises(SnapshotLost), snapshot.reading(taken, workspace):
        pass


def test_no_secret_stands_in_the_holders_arguments_or_environment(workspace):
    connections[POSTGRESQL].settings_dict["PASSWORD"] = "a-secret-word"
    try:
        snapshot.open_snapshot(POSTGRESQL, workspace)
    finally:
        connections[POSTGRESQL].settings_dict["PASSWORD"] = ""
    (holder,) = _holders(workspace)
    for name in ("cmdline", "environ"):
        assert b"a-secret-word" not in (holder / name).read_bytes()


def test_a_server_that_is_away_is_told_and_leaves_nothing(workspace):
    settings = connections[POSTGRESQL].settings_dict
    port, settings["PORT"] = settings["PORT"], "1"
    host, settings["HOST"] = settings["HOST"], "127.0.0.1"
    try:
        with pytest.raises(DatabaseAway, match="gave no snapshot"):
            snapshot.open_snapshot(POSTGRESQL, workspace)
    finally:
        settings["PORT"], settings["HOST"] = port, host
    assert list(workspace.iterdir()) == []


def test_no_holder_stays_where_nobody_waits_for_its_answer(workspace, monkeypatch):
    monkeypatch.setattr(postgresql_snapshot, "OPEN_SECONDS", 0)
    with pytest.raises(DatabaseAway, match="no answer"):
        snapshot.open_snapshot(POSTGRESQL, workspace)
    _until(lambda: not _holders(workspace))
    assert list(workspace.iterdir()) == []


def _holders(workspace: Path) -> list[Path]:
    """The processes, as directories of /proc, that have a lease of this workspace open."""
    processes = [each for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [each for each in processes if any(_leases(each, workspace))]


def _leases(process: Path, workspace: Path) -> Iterator[str]:
    with suppress(OSError):  # it may end while it is looked at
        for descriptor in (process / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith(f"{workspace}/") and ".lease" in target:
                yield target


def _until(holds) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def _unwatched(_: int) -> None:
    """A tick that nobody counts."""
