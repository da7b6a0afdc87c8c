"""Of models that are only added to, no row comes but those that others need."""

from __future__ import annotations

import pytest

from diskette.core.report import Severity
from tests.data.loading import Archive, Loading
from tests.data.test_integrity import book
from tests.library.models import Author, Book, Chapter, City, Country, Loan, Publisher, Series


@pytest.fixture
def archive(tmp_path) -> Archive:
    return Archive(tmp_path)


def load(archive: Archive, using: str, *added) -> dict[str, int]:
    """How many rows of each model were added."""
    loading = Loading(archive, using, added=added).stage()
    found = loading.check()
    assert {each.severity for each in found} <= {Severity.INFO}, found
    loading.apply().drop()
    return {each.model: each.count for each in found}


def keys(model, using) -> list[int]:
    return sorted(model.objects.using(using).values_list("pk", flat=True))


def test_needs_of_needs_come_too(archive, using):
    archive.write(Chapter, {"pk": 1, "book": 1, "title": "c", "_order": 0})
    archive.write(Book, book(1, "i1", series=1), book(2, "i2", series=2))
    archive.write(Series, *[{"pk": n, "publisher": n, "title": "s"} for n in (1, 2)])
    archive.write(Publisher, *[{"pk": n, "name": f"p{n}", "founded": None} for n in (1, 2)])
    assert load(archive, using, Book, Series, Publisher) == {
        "library.Book": 1,
        "library.Series": 1,
        "library.Publisher": 1,
    }
    assert [keys(model, using) for model in (Book, Series, Publisher)] == [[1], [1], [1]]


def test_a_circle_is_followed_to_its_end(archive, using):
    archive.write(Country, {"pk": 1, "name": "x", "capital": 5})
    archive.write(City, {"pk": 5, "name": "y", "country": 1}, {"pk": 6, "name": "z", "country": 1})
    assert load(archive, using, City) == {"library.City": 1}
    assert keys(City, using) == [5]


def test_needs_within_one_table_are_followed(archive, using):
    archive.write(Book, book(1, "i1"))
    archive.write(Author, *[{"pk": n, "name": "a", "mentor": n - 1 or None} for n in (1, 2, 3)])
    through = Book.contributors.through
    row = {"pk": 1, "book": 1, "author": 2, "invited_by": None, "role": "author"}
    archive.write(through, row)
    assert load(archive, using, Author) == {"library.Author": 2}
    assert keys(Author, using) == [1, 2]


def test_rows_that_are_here_stay_and_are_not_counted(archive, using):
    Book.objects.using(using).create(pk=1, title="here", isbn="i1")
    archive.write(Loan, {"pk": 1, "book": "i1", "formerly": None, "due": "2026-01-01"})
    archive.write(Book, book(1, "i1"))
    assert load(archive, using, Book) == {}
    assert Book.objects.using(using).get().title == "here"


def test_a_row_that_is_here_under_another_key_answers_to_its_natural_key(archive, using):
    Publisher.objects.using(using).create(pk=9, name="p")
    archive.write(Series, {"pk": 1, "publisher": ["p"], "title": "s"})
    archive.write(Publisher, {"pk": 1, "name": "p", "founded": None})
    assert load(archive, using, Publisher) == {}
    assert Series.objects.using(using).get().publisher_id == 9


def test_what_is_added_may_conflict_with_what_is_here(archive, using):
    Book.objects.using(using).create(pk=9, title="here", isbn="i1")
    archive.write(Chapter, {"pk": 1, "book": 1, "title": "c", "_order": 0})
    archive.write(Book, book(1, "i1"))
    loading = Loading(archive, using, added=(Book,)).stage()
    codes = [each.code for each in loading.check()]
    loading.drop()
    assert codes == ["rows-added", "unique-conflict"]
