"""A scratch database: another one than every live one, and gone when it is done with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections

from diskette.core.exceptions import ScratchRefused, TemporaryError
from diskette.core.plan import Kind, State
from diskette.data.engines import scratch_places
from diskette.data.scratch import Scratch, scratch
from diskette.models import Run
from diskette.steps import cleanup
from tests import servers
from tests.data.conftest import MARIADB, POSTGRESQL, SQLITE
from tests.data.loading import REPOSITORY, nothing
from worker import mariadb as mariadb_server
from worker.servers import await_condition

PASSWORD = "a password / of ours"


@pytest.fixture
def made(using: str, tmp_path: Path) -> Iterator[Scratch]:
    with scratch(str(uuid4()), using, tmp_path) as made:
        yield made


@pytest.fixture
def connect() -> Iterator[Callable[[str, str], str]]:
    """Lets Django know a database by an alias for this test."""
    known: list[str] = []

    def connect(alias: str, url: str) -> str:
        connections.databases[alias] = {
            **connections.databases["default"],
            "OPTIONS": {},
            **servers.django_database(url),
        }
        known.append(alias)
        return alias

    yield connect
    for alias in known:
        connections[alias].close()
        del connections[alias], connections.databases[alias]


def tables(alias: str) -> set[str]:
    with connections[alias].cursor() as cursor:
        return set(connections[alias].introspection.table_names(cursor))


def names_on_server(using: str, run: str) -> list[str]:
    """Of the scratch databases that a run has there; files where it has no server."""
    vendor = connections[using].vendor
    with connections[using].cursor() as cursor:
        cursor.execute(scratch_places.ON_SERVER[vendor].listing, [scratch_places.prefix(run)])
        return [name for (name,) in cursor.fetchall()]


def exists(made: Scratch) -> bool:
    if connections[made.database].vendor == "sqlite":
        return any(made.workspace.glob("*.sqlite3*"))
    return names_on_server(made.database, made.run) == [made.name]


def test_it_is_empty_and_another_one(made):
    with made.connected() as alias:
        assert tables(alias) == {"diskette_scratch"}
        assert (
            connections[alias].settings_dict["NAME"]
            != (connections[made.database].settings_dict["NAME"])
        )
    assert exists(made)
    assert "diskette_scratch" not in tables(made.database)


def test_it_is_gone_afterwards(using, tmp_path):
    with scratch(str(uuid4()), using, tmp_path) as made:
        assert exists(made)
    assert not exists(made)
    made.drop()
    with pytest.raises(ScratchRefused), made.connected():
        pass


def test_two_of_one_run_are_two(made):
    with scratch(made.run, made.database, made.workspace, "other") as other:
        assert other.name != made.name
        with other.connected() as alias, connections[alias].cursor() as cursor:
            cursor.execute("CREATE TABLE mine (id integer)")
        with made.connected() as alias:
            assert "mine" not in tables(alias)


def test_another_attempt_begins_with_an_empty_one(made):
    with made.connected() as alias, connections[alias].cursor() as cursor:
        cursor.execute("CREATE TABLE of_the_first_attempt (id integer)")
    made.create()
    with made.connected() as alias:
        assert tables(alias) == {"diskette_scratch"}


def test_migrating_it_makes_what_migrating_a_live_one_makes(made):
    Group.objects.using(made.database).create(name="alive")
    before = tables(made.database)
    made.migrate(None, nothing)
    with made.connected() as alias:
        assert tables(alias) - {"diskette_scratch"} == before
        assert not Group.objects.using(alias).exists()
        kinds = [
            set(ContentType.objects.using(each).values_list("app_label", "model"))
            for each in (alias, made.database)
        ]
    assert kinds[0] == kinds[1]
    assert Group.objects.using(made.database).count() == 1


def test_migrating_it_to_some_leaves_stops_there(made):
    made.migrate([("auth", "0004_alter_user_username_opts")], nothing)
    with made.connected() as alias, connections[alias].cursor() as cursor:
        cursor.execute("SELECT max(name) FROM django_migrations WHERE app = 'auth'")
        assert cursor.fetchone() == ("0004_alter_user_username_opts",)
        assert {"auth_user", "django_content_type"} <= tables(alias)
        assert "diskette_run" not in tables(alias)


def test_what_works_on_it_can_open_no_other_database(made):
    told: list[int] = []
    seen = made.apart("tests.data.scratch_work:look", told.append)
    assert Path(seen["name"]).name.startswith(made.name)
    assert set(seen["refused"]) == set(connections.databases) & {"default", "postgresql", "mariadb"}
    assert all(f"no database but {made.database}" in why for why in seen["refused"].values())
    assert sum(told) == 3
    assert "what project code prints" in (made.workspace / "apart.log").read_text()


def test_a_process_that_breaks_off_is_told_with_its_last_words(made):
    with pytest.raises(TemporaryError, match=r"exit code 7\): last words"):
        made.apart("tests.data.scratch_work:die", nothing)


def test_it_stops_when_the_step_does(made, tmp_path):
    def stop(_: int) -> None:
        if pids.exists():
            raise KeyboardInterrupt

    pids = tmp_path / "pids"
    with pytest.raises(KeyboardInterrupt):
        made.apart("tests.data.scratch_work:note_pids_and_wait", stop, file=str(pids))
    assert await_condition(lambda: have_ended(pids), seconds=30)


def have_ended(pids: Path) -> bool:
    """It, and what it has started; a zombie waits for its parent alone."""
    return not any(map(is_alive, pids.read_text().split()))


def is_alive(pid: str) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


@pytest.mark.parametrize("alias", ["postgresql", "mariadb"])
def test_a_cleanup_drops_what_a_killed_process_left(alias, tmp_path, settings, databases):
    """As the sweep does it for a run whose process is gone: by the run's rows alone."""
    if alias == "mariadb":
        servers.require_mariadb()
    settings.DISKETTE_DATABASE = SQLITE
    settings.DISKETTE_WORKSPACE = tmp_path
    run = Run.objects.using(SQLITE).create(
        kind=Kind.LOAD, state=State.FAILED, options={"workspace": str(tmp_path)}
    )
    run.steps.using(SQLITE).create(
        run=run, position=0, name="fetch_archive", output={"databases": [alias]}
    )
    run.workspace.create()
    pids = run.workspace.path / "pids"
    command = [sys.executable, "-m", "tests.data.scratch_work"]
    with subprocess.Popen(
        [*command, str(run.pk), alias, str(run.workspace.path)],
        cwd=REPOSITORY,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    ) as process:
        assert await_condition(pids.exists, seconds=30)
        process.kill()
    assert await_condition(lambda: have_ended(pids), seconds=30)
    assert len(names_on_server(alias, str(run.pk))) == 1
    assert cleanup(run) == []
    assert names_on_server(alias, str(run.pk)) == []
    assert not run.workspace.path.exists()
    connections[alias].close()


# -- where the user may make none --------------------------------------------------------------


@contextmanager
def _restricted(using: str) -> Iterator[str]:
    """The URL of the database, for a user who may do everything in it, and nothing else."""
    user = f"diskette_{uuid4().hex[:8]}"
    name = str(connections[using].settings_dict["NAME"])
    if using == POSTGRESQL:
        with psycopg.connect(servers.postgres_url(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
            with psycopg.connect(servers.postgres_url(name), autocommit=True) as inside:
                inside.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}")
            yield _as(servers.postgres_url(name), user)
            with psycopg.connect(servers.postgres_url(name), autocommit=True) as inside:
                inside.execute(f"DROP OWNED BY {user}")
            connection.execute(f"DROP ROLE {user}")
    else:
        with (
            closing(mariadb_server.connected(servers.mariadb_url())) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute(f"GRANT ALL ON `{name}`.* TO {user}@'%'")
            yield _as(servers.mariadb_url(name), user)
            cursor.execute(f"DROP USER {user}@'%'")


def _as(url: str, user: str) -> str:
    from urllib.parse import quote

    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    return parts._replace(netloc=f"{user}:{quote(PASSWORD, safe='')}@{where}").geturl()


@pytest.fixture(params=[POSTGRESQL, MARIADB])
def restricted(request, databases, connect) -> Iterator[str]:
    if request.param == MARIADB:
        request.getfixturevalue("mariadb")
    with _restricted(request.param) as url:
        yield connect("restricted", url)
        connections["restricted"].close()


def test_who_may_make_none_is_told_so_and_how_to_go_on(restricted, tmp_path):
    made = Scratch(run=str(uuid4()), database=restricted, workspace=tmp_path)
    with pytest.raises(ScratchRefused) as refused:
        made.create()
    assert "denied" in str(refused.value)
    assert "DISKETTE_SCRATCH_DATABASE" in str(refused.value)
    assert PASSWORD not in str(refused.value)


# -- the owner's -------------------------------------------------------------------------------


@pytest.fixture(params=[POSTGRESQL, MARIADB])
def given(request, databases, connect, settings) -> Iterator[tuple[str, str]]:
    """The live database's alias, and that of an empty one beside it."""
    if request.param == MARIADB:
        request.getfixturevalue("mariadb")
    settings.DISKETTE_DATABASE = request.param
    make = servers.postgres_database if request.param == POSTGRESQL else servers.mariadb_database
    with make() as url:
        yield request.param, connect("given", url)
        connections["given"].close()


def test_the_owners_is_filled_and_emptied_again(given, tmp_path, settings):
    live, settings.DISKETTE_SCRATCH_DATABASE = given
    with scratch(str(uuid4()), live, tmp_path) as made:
        made.migrate(None, nothing)
        with made.connected() as alias:
            assert tables(alias) - {"diskette_scratch"} == tables(live)
        assert names_on_server(live, made.run) == []
        made.create()
        assert tables("given") == {"diskette_scratch"}
    assert tables("given") == set()


def test_the_owners_is_refused_where_it_is_not_empty(given, tmp_path, settings):
    live, settings.DISKETTE_SCRATCH_DATABASE = given
    with connections["given"].cursor() as cursor:
        cursor.execute("CREATE TABLE precious (id integer)")
    made = Scratch(run=str(uuid4()), database=live, workspace=tmp_path)
    with pytest.raises(ScratchRefused, match=r"is not empty: it has table .*precious"):
        made.create()
    made.drop()
    assert tables("given") == {"precious"}


def test_the_owners_is_refused_while_another_run_has_it(given, tmp_path, settings):
    live, settings.DISKETTE_SCRATCH_DATABASE = given
    run = Run.objects.using(live).create(kind=Kind.LOAD, state=State.RUNNING)
    first = Scratch(run=str(run.pk), database=live, workspace=tmp_path)
    first.create()
    second = Scratch(run=str(uuid4()), database=live, workspace=tmp_path)
    with pytest.raises(ScratchRefused, match=f"is in use by run {run.pk}"):
        second.create()
    second.drop()
    with first.connected() as alias:
        assert tables(alias) == {"diskette_scratch"}
    Run.objects.using(live).update(state=State.FAILED)
    second.create()  # what the first left is nobody's any more
    scratch_places.drop_all(live, second.run, tmp_path)
    assert tables("given") == set()


def test_an_empty_live_database_is_known_by_its_mark_however_it_is_spelled(
    given, tmp_path, settings, connect
):
    live, settings.DISKETTE_SCRATCH_DATABASE = given
    place = dict(connections.databases["given"])
    connect("disguised", servers.postgres_url())
    host = {"127.0.0.1": "localhost"}.get(str(place["HOST"]), "127.0.0.1")
    connections.databases["disguised"] = place | {"HOST": host}
    made = Scratch(run=str(uuid4()), database=live, workspace=tmp_path)
    with pytest.raises(ScratchRefused, match="appears in the live database 'disguised'"):
        made.create()
    assert tables("given") == set()


def test_what_is_not_proven_is_never_emptied(given, tmp_path, settings):
    """A process killed before the proof leaves a mark in what may be a live database."""
    live, settings.DISKETTE_SCRATCH_DATABASE = given
    made = Scratch(run=str(uuid4()), database=live, workspace=tmp_path)
    (tmp_path / scratch_places.CLAIM).touch()
    with connections["given"].cursor() as cursor:
        cursor.execute("CREATE TABLE diskette_scratch (token varchar(200))")
        cursor.execute("INSERT INTO diskette_scratch VALUES (%s)", [f"?{made.name}:x"])
        cursor.execute("CREATE TABLE precious (id integer)")
    scratch_places.drop_all(live, made.run, tmp_path)
    assert tables("given") == {"precious"}


def test_a_pool_never_leads_into_the_live_database(postgres_url, connect, tmp_path):
    """Django keeps pools by alias, and the live alias is lent to the scratch."""
    alias = connect("pooled", postgres_url)
    made = Scratch(run=str(uuid4()), database=alias, workspace=tmp_path)
    made.create()
    connections.databases[alias]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 2}}
    with made.connected() as own:
        assert connections[own].pool is None
        assert tables(own) == {"diskette_scratch"}
    made.migrate([("contenttypes", "0001_initial")], nothing)
    made.drop()
    connections.databases[alias]["OPTIONS"] = {}
    assert tables(alias) == set()


def test_a_pooler_that_leads_elsewhere_is_seen_before_anything_is_written(
    postgres_url, connect, tmp_path, monkeypatch
):
    alias = connect("behind", postgres_url)
    astray = scratch_places.alone
    monkeypatch.setattr(
        scratch_places.OnPostgreSQL, "connection", lambda self: astray(self.database)
    )
    made = Scratch(run=str(uuid4()), database=alias, workspace=tmp_path)
    with pytest.raises(ScratchRefused, match="leads to"):
        made.create()
    assert tables(alias) == set()
    assert names_on_server(alias, made.run) == []


def test_connections_are_closed(made):
    with made.connected() as alias:
        assert connections[alias].connection is not None
        kept = connections[alias]
    assert kept.connection is None
    assert alias not in connections


def test_the_command_still_works_beside_it(made):
    """What was lent to the other process is this one's again."""
    call_command("migrate", database=made.database, verbosity=0)
