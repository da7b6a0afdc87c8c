"""The judge of the other tests sees every difference, and none where there is none."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import psycopg
import pytest

from worker.comparison import Side, compare

KINDS = """
    CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label text, model text);
    CREATE TABLE kinds (
        id integer PRIMARY KEY, flag bool, amount decimal, ratio real, at datetime, hour time,
        lasted bigint, token char(32), blob BLOB, address char(39),
        subject_id integer REFERENCES django_content_type (id),
        document text CHECK (JSON_VALID("document") OR "document" IS NULL)
    )"""
POSTGRESQL_KINDS = """
    CREATE TABLE django_content_type (id int PRIMARY KEY, app_label text, model text);
    CREATE TABLE kinds (
        id serial PRIMARY KEY, flag boolean, amount numeric(12, 4), ratio double precision,
        at timestamptz, hour time, lasted interval, token uuid, document jsonb,
        blob bytea, address inet, subject_id int REFERENCES django_content_type (id)
    )"""
DOCUMENT = {"b": [1, 1.0, 1e16, -0.5, None, True, "ž\n"], "a": {"z": {}, "y": 2**70}}
ROW = {
    "id": 1,
    "flag": 1,
    "amount": "12345678.1250",
    "ratio": 0.1,
    "at": "2026-03-29 00:59:59.999999",
    "hour": "08:30:00",
    "lasted": 93_784_000_005,
    "token": "0f8fad5bd9cb469fa16570867728950e",
    "document": json.dumps(DOCUMENT),
    "blob": b"\x00\xff",
    "address": "2001:db8::1",
    "subject_id": 7,
}
POSTGRESQL_ROW = ROW | {
    "flag": True,
    "at": "2026-03-29 02:59:59.999999+02",
    "lasted": "1 day 02:03:04.000005",
    "subject_id": 9,
}


def sqlite_side(directory, rows, schema=KINDS):
    directory.mkdir(exist_ok=True)
    with closing(sqlite3.connect(directory / "site.sqlite3")) as connection:
        connection.executescript(schema)
        connection.execute("INSERT INTO django_content_type VALUES (7, 'blog', 'article')")
        for row in rows:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO kinds ({names}) VALUES ({marks})", (*row.values(),))
        connection.commit()
    return Side(
        database_url=f"sqlite://{directory}/site.sqlite3", trees={"media": directory / "media"}
    )


def postgres_side(url, directory, rows):
    with psycopg.connect(url) as connection:
        connection.execute(POSTGRESQL_KINDS)
        connection.execute("INSERT INTO django_content_type VALUES (9, 'blog', 'article')")
        for row in rows:
            names = ", ".join(row)
            marks = ", ".join(["%s"] * len(row))
            connection.execute(f"INSERT INTO kinds ({names}) VALUES ({marks})", (*row.values(),))
    return Side(database_url=url, trees={"media": directory / "media"})


def told(one, other):
    return [str(each) for each in compare(one, other).differences]


def test_values_of_every_kind_are_the_same_on_both_engines(tmp_path, postgres_url):
    empty = {"id": 2}
    one = sqlite_side(tmp_path, [ROW, empty])
    other = postgres_side(postgres_url, tmp_path, [POSTGRESQL_ROW, empty])
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT setval('kinds_id_seq', 2)")
    compared = compare(one, other)
    assert list(compared.differences) == []
    assert str(compared) == "2 rows in 1 tables, 0 files"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("flag", 0),
        ("amount", "12345678.1251"),
        ("ratio", 0.10000000000000002),
        ("at", "2026-03-29 00:59:59.999998"),
        ("at", "2026-03-29T00:59:59.999999"),
        ("hour", "08:30:00.000000"),
        ("lasted", 93_784_000_006),
        ("token", "0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("document", json.dumps(DOCUMENT | {"b": [1, 1, 1e16, -0.5, None, True, "ž\n"]})),
        (
            "document",
            json.dumps(DOCUMENT).replace("1180591620717411303424", "1.1805916207174113e21"),
        ),
        ("document", json.dumps(json.dumps(DOCUMENT))),
        ("document", "null"),
        ("document", None),
        ("blob", b"\x00\xfe"),
        ("blob", "\x00\xff"),
        ("address", None),
        ("subject_id", None),
    ],
)
def test_the_smallest_difference_is_told(tmp_path, postgres_url, column, value):
    one = sqlite_side(tmp_path / "one", [ROW])
    changed = sqlite_side(tmp_path / "changed", [ROW | {column: value}])
    postgres = postgres_side(postgres_url, tmp_path, [POSTGRESQL_ROW])
    for other in (one, postgres):
        (difference,) = [each for each in told(other, changed) if "next key" not in each]
        assert difference.startswith(f"kinds: 1 different: 1 ({column}: here ")


def test_a_row_too_many_and_one_too_few_are_told_by_their_keys(tmp_path):
    one = sqlite_side(tmp_path / "one", [ROW, ROW | {"id": 2}])
    other = sqlite_side(tmp_path / "other", [ROW, ROW | {"id": 3}])
    assert told(one, other) == ["kinds: 1 only here: 2", "kinds: 1 only there: 3"]


def test_rows_without_a_key_are_counted(tmp_path):
    schema = KINDS.replace("id integer PRIMARY KEY, flag", "id integer, flag")
    one = sqlite_side(tmp_path / "one", [ROW, ROW], schema)
    other = sqlite_side(tmp_path / "other", [ROW], schema)
    (difference,) = told(one, other)
    assert difference.startswith("kinds: 1 only here: ")
    assert difference.endswith(" (2)")


def test_a_reference_to_another_model_is_a_difference(tmp_path):
    one, other = (sqlite_side(tmp_path / name, [ROW]) for name in ("one", "other"))
    with closing(sqlite3.connect(urlsplit(other.database_url).path)) as connection:
        connection.execute("UPDATE django_content_type SET model = 'comment'")
        connection.commit()
    assert told(one, other) == [
        "kinds: 1 different: 1 (subject_id: here blog.article, there blog.comment)"
    ]


def test_the_order_of_keys_in_a_document_counts_where_both_engines_keep_it(tmp_path):
    turned = dict(reversed(DOCUMENT.items()))
    one = sqlite_side(tmp_path / "one", [ROW])
    other = sqlite_side(tmp_path / "other", [ROW | {"document": json.dumps(turned)}])
    (difference,) = told(one, other)
    assert "document: here" in difference


def test_a_column_or_a_table_that_only_one_has_is_told(tmp_path):
    one = sqlite_side(tmp_path / "one", [ROW], f"{KINDS}; CREATE TABLE more (id int)")
    other = sqlite_side(tmp_path / "other", [ROW], KINDS.replace("flag bool", "x int, flag bool"))
    assert told(one, other)[0] == "tables: 1 only here: more"
    assert "columns of kinds: 1 only there: x" in told(one, other)


def test_bookkeeping_is_left_out(tmp_path):
    more = "; CREATE TABLE diskette_run (id int); CREATE TABLE django_session (id int)"
    one = sqlite_side(tmp_path / "one", [ROW], KINDS + more)
    assert told(one, sqlite_side(tmp_path / "other", [ROW])) == []


def test_a_sequence_that_lags_behind_is_told(tmp_path, postgres_url):
    other = postgres_side(postgres_url, tmp_path, [POSTGRESQL_ROW | {"id": 5}])
    assert told(other, other) == [
        f"kinds: the next key {side} would be 1, but there are higher ones"
        for side in ("here", "there")
    ]


def test_files_differ_by_their_bytes_modes_times_and_kinds(tmp_path):
    sides = [sqlite_side(tmp_path / name, []) for name in ("one", "other")]
    for side in sides:
        media = side.trees["media"]
        (media / "empty").mkdir(parents=True)
        for name in ("same", "bytes", "mode", "time", "link", "gone"):
            (media / name).write_bytes(b"content")
            os.utime(media / name, (1, 1))
    media = sides[1].trees["media"]
    (media / "bytes").write_bytes(b"Content")
    os.utime(media / "bytes", (1, 1))
    (media / "mode").chmod(0o600)
    os.utime(media / "time", ns=(1_000_000_000, 1_000_000_001))
    (media / "link").unlink()
    (media / "link").symlink_to("same")
    (media / "gone").unlink()
    (media / "empty").chmod(0o700)

    only, changed = told(*sides)

    assert only == "files: 1 only here: media/gone"
    assert changed.startswith("files: 5 different: media/bytes (here ")
    assert all(f"media/{name} (" in changed for name in ("bytes", "empty", "link", "mode", "time"))


def test_other_engines_are_refused_in_words(tmp_path):
    side = Side(database_url="oracle://root@localhost/site", trees={})
    with pytest.raises(ValueError, match="oracle databases are not compared"):
        compare(side, side)
