"""MariaDB's instant is a reading's own."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import OperationalError

from diskette.data import snapshot
from tests.library import models as library


def names(using: str) -> list[str]:
    return [genre.name for genre in library.Genre.objects.using(using).order_by("name")]


def test_a_reading_shows_the_instant_it_began_whatever_is_written_meanwhile(mariadb, tmp_path):
    taken = snapshot.open_snapshot(mariadb, tmp_path)
    library.Genre.objects.using(mariadb).create(name="before")

    with snapshot.reading(taken, tmp_path) as alias:
        library.Genre.objects.using(mariadb).create(name="after")
        assert names(alias) == ["before"]

    assert names(mariadb) == ["after", "before"]
    snapshot.close_snapshot(taken, tmp_path)


def test_it_says_so(mariadb, tmp_path):
    taken = snapshot.open_snapshot(mariadb, tmp_path)

    assert (taken.engine, taken.method) == ("mysql", "transaction")
    assert not snapshot.is_shared(mariadb)
    begun = [dt.datetime.fromisoformat(each.at) for each in (taken, snapshot.begun(taken))]
    assert begun[0] < begun[1]


def test_nothing_can_be_written_through_a_reading(mariadb, tmp_path):
    taken = snapshot.open_snapshot(mariadb, tmp_path)

    with (
        pytest.raises(OperationalError, match="READ ONLY"),
        snapshot.reading(taken, tmp_path) as alias,
    ):
        library.Genre.objects.using(alias).create(name="no")
