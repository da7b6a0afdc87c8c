"""Rows that differ are found among many, whatever their order."""

from __future__ import annotations

import pytest

from diskette.data.contrast import BUCKETS
from tests.data.loading import Archive, Loading
from tests.library.models import Genre

ROWS = 3 * BUCKETS


@pytest.fixture
def loading(tmp_path, using) -> Loading:
    rows = [{"pk": number, "name": f"g{number}"} for number in range(1, ROWS + 1)]
    loading = Loading(Archive(tmp_path).write(Genre, *rows), using).stage().apply()
    loading.drop()
    return loading


def the_only(findings):
    (finding,) = findings
    return finding


def test_one_of_many_is_named(loading, using):
    Genre.objects.using(using).filter(pk=1234).update(name="other")
    finding = the_only(loading.verify())
    assert (finding.objects, finding.field) == ((1234,), "name")


def test_rows_that_changed_places_are_both_named(loading, using):
    genres = Genre.objects.using(using)
    genres.filter(pk=7).update(name="aside")
    genres.filter(pk=8).update(name="g7")
    genres.filter(pk=7).update(name="g8")
    assert sorted(the_only(loading.verify()).objects) == [7, 8]


def test_where_every_row_differs_a_sample_is_named(loading, using):
    for genre in Genre.objects.using(using).iterator():
        genre.name = f"x{genre.pk}"
        genre.save(update_fields=["name"])
    finding = the_only(loading.verify())
    assert len(finding.objects) == 10
    assert finding.field == "name"
