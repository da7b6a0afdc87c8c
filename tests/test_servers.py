"""The ground the other tests stand on."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.db import connections

from tests import servers
from worker import mariadb
from worker.servers import await_condition, is_open_to_all


def test_a_session_has_both_servers():
    with psycopg.connect(servers.postgres_url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(servers.redis_url()) as client:
        assert client.ping()


@pytest.mark.django_db(databases=["default", "postgresql"])
def test_both_databases_are_migrated():
    for alias in ("default", "postgresql"):
        assert "auth_user" in connections[alias].introspection.table_names()
    assert connections["default"].settings_dict["NAME"] != ":memory:"


def test_a_database_of_ones_own_is_gone_afterwards():
    with servers.postgres_database() as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_a_copy_of_a_mariadb_database_has_its_rows_and_its_rules():
    with servers.mariadb_database() as url, _mariadb(url) as cursor:
        cursor.execute("CREATE TABLE parent (id int PRIMARY KEY, twice int AS (2 * id) STORED)")
        cursor.execute("CREATE TABLE child (parent int REFERENCES parent (id))")
        cursor.execute("INSERT INTO parent (id) VALUES (0), (7)")
        with servers.mariadb_database(urlsplit(url).path[1:]) as copy, _mariadb(copy) as other:
            other.execute("SELECT * FROM parent ORDER BY id")
            assert other.fetchall() == ((0, 0), (7, 14))
            with pytest.raises(Exception, match="foreign key constraint fails"):
                other.execute("INSERT INTO child VALUES (8)")
    with pytest.raises(Exception, match="Unknown database"):
        mariadb.connected(copy)


def test_a_missing_mariadb_fails_in_ci_and_is_skipped_elsewhere(monkeypatch):
    monkeypatch.setenv(servers.MARIADB, "")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no MariaDB answers"):
        servers.require_mariadb()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no MariaDB answers"):
        servers.require_mariadb()


@contextmanager
def _mariadb(url: str):
    with closing(mariadb.connected(url)) as connection, connection.cursor() as cursor:
        yield cursor


def test_what_was_queued_outlives_a_killed_redis(private_redis):
    with redis.Redis.from_url(private_redis.url) as client:
        client.rpush("queue", "message")
    private_redis.kill()
    private_redis.start()
    with redis.Redis.from_url(private_redis.url) as client:
        assert client.lrange("queue", 0, -1) == [b"message"]


def test_a_killed_postgres_starts_again_with_what_was_committed(private_postgres):
    with psycopg.connect(private_postgres.url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    private_postgres.kill()
    private_postgres.start()
    with psycopg.connect(private_postgres.url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_server_dies_with_the_process_that_started_it(tmp_path):
    program = textwrap.dedent("""
        import os, pathlib, sys
        from worker.servers import Redis
        server = Redis(directory=pathlib.Path(sys.argv[1])).start()
        print(server.url, flush=True)
        os.kill(os.getpid(), 9)
    """)
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    client = redis.Redis.from_url(killed.stdout.strip())

    def is_gone() -> bool:
        try:
            return not client.ping()
        except redis.ConnectionError:
            return True

    assert await_condition(is_gone, seconds=5)


def test_a_directory_behind_a_closed_one_is_not_open_to_all(tmp_path):
    (tmp_path / "inner").mkdir(mode=0o755)
    tmp_path.chmod(0o700)
    assert not is_open_to_all(tmp_path / "inner")
