from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing

import pytest

from benchmarks import files
from benchmarks.checksums import (
    LINK_KEYS,
    MICROSECONDS,
    losses,
    mariadb_checksums,
    sqlite_checksums,
)
from benchmarks.figures import Figure
from benchmarks.measuring import Call, ToolFailed, measure
from benchmarks.media import make_media
from benchmarks.profiling import shares
from tests import servers
from worker import mariadb

EVENT = """CREATE TABLE event (
    id integer PRIMARY KEY, at datetime, what text CHECK (JSON_VALID("what") OR what IS NULL));"""
EVENT_OF_MARIADB = "CREATE TABLE event (id integer PRIMARY KEY, at datetime(6), what json);"
REST = """
    CREATE TABLE event_tags (id integer PRIMARY KEY, event_id integer, tag_id integer);
    INSERT INTO event VALUES (1, '2026-01-02 03:04:05.678901', '{"a": 1}'), (2, NULL, NULL);
    INSERT INTO event_tags VALUES (1, 1, 7), (2, 2, 7)"""


CHANGES = pytest.mark.parametrize(
    ("change", "lost"),
    [
        ("DELETE FROM event WHERE id = 3", []),
        ("UPDATE event SET what = '{\"a\":1}' WHERE id = 1", []),
        ("UPDATE event SET at = '2026-01-02 03:04:05.678000' WHERE id = 1", [MICROSECONDS]),
        ("UPDATE event_tags SET id = 9 WHERE id = 1", [LINK_KEYS]),
        ("UPDATE event_tags SET tag_id = 8", ["event_tags differs: 2 of 2 rows"]),
        ("DELETE FROM event WHERE id = 2", ["event differs: 1 of 2 rows"]),
        ("DROP TABLE event", ["event differs: missing"]),
    ],
)


@CHANGES
def test_what_a_tool_lost_is_named(change, lost):
    assert losses(sums(""), sums(change)) == lost


@CHANGES
def test_what_a_tool_lost_on_mariadb_is_named(change, lost):
    assert losses(sums_on_mariadb(""), sums_on_mariadb(change)) == lost


def sums(change):
    connection = sqlite3.connect(":memory:")
    connection.executescript(f"{EVENT}{REST};{change}")
    found = sqlite_checksums(connection)
    connection.close()
    return found


def sums_on_mariadb(change):
    with servers.mariadb_database() as url, closing(mariadb.connected(url)) as connection:
        cursor = connection.cursor()
        for statement in filter(str.strip, f"{EVENT_OF_MARIADB}{REST};{change}".split(";")):
            cursor.execute(statement)
        return mariadb_checksums(cursor)


def test_files_are_told_apart_by_content_then_by_times(tmp_path):
    for name in ("source", "loaded"):
        make_media(tmp_path / name, size=5000, files=5)
    assert files.losses(tmp_path / "source", tmp_path / "loaded") == []

    changed = next((tmp_path / "loaded").rglob("*.bin"))
    os.utime(changed, (1, 1))
    assert files.losses(tmp_path / "source", tmp_path / "loaded") == [files.TIMES]

    changed.unlink()
    assert files.losses(tmp_path / "source", tmp_path / "loaded") == [
        "1 of 5 files differ, 4 are there"
    ]


def test_what_detaches_itself_is_measured_too(tmp_path):
    orphan = [sys.executable, "-c", 'bytearray(b"x" * 90_000_000)']
    script = f"import subprocess; subprocess.Popen({orphan!r}, start_new_session=True)"
    call = Call(command=[sys.executable, "-c", script], directory=tmp_path)
    taken = measure(call, tmp_path)
    assert 90_000_000 < taken.peak_bytes < 300_000_000
    assert taken.cpu_seconds > 0


def test_a_tool_that_fails_says_why(tmp_path):
    call = Call(command=["bash", "-c", "echo no room; exit 3"], directory=tmp_path)
    with pytest.raises(ToolFailed, match="no room"):
        measure(call, tmp_path)


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.7, "met, and the aim"), (1.1, "met"), (1.3, "**missed**")]
)
def test_a_figure_is_met_or_missed(value, verdict):
    figure = Figure(what="dump", value=value, must=1.2, aim=0.8, unit="of its time")
    assert figure.verdict == verdict


def test_a_profile_tells_the_main_threads_time_by_line_and_by_function():
    stacks = [
        "thread (1);main (run.py:1);dump (diskette/dump.py:4);encode (json.py:9) 30",
        "thread (1): MainThread;main (run.py:1);dump (diskette/dump.py:5) 10",
        "thread (2): Thread-1;Thread._bootstrap (threading.py:2);wait (threading.py:3) 40",
    ]
    own, functions = shares(stacks)
    assert own == {
        "encode (json.py:9) < dump (diskette/dump.py:4)": 30,
        "dump (diskette/dump.py:5)": 10,
    }
    assert functions == {"dump (diskette/dump.py)": 40}
