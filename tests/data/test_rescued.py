"""What a field refuses to spell travels as the column holds it, from either engine."""

from __future__ import annotations

import orjson
import pytest
from django.db import connections, models

from diskette.data.codec import codec
from diskette.data.kinds import Kind, kind_of
from tests.data.reading import BOTH, spelled
from tests.library.models import Specimen

pytestmark = pytest.mark.django_db(databases=BOTH)


class CarriedFile(models.FileField):
    """As django-filer's: a fixture may carry the file itself, and where it lies depends."""

    def value_to_string(self, obj):
        return obj.is_public and super().value_to_string(obj)

    def to_python(self, value):
        return value


def test_a_point_that_is_none_is_the_same_line_from_both_engines():
    lines = []
    for using in BOTH:
        row = Specimen.objects.using(using).create(pk=1, text='"quoted" \\ ')
        with connections[using].cursor() as cursor:
            cursor.execute("UPDATE library_specimen SET point = %s", ['no "point" \\ at all'])
        chosen = codec(Specimen, using=using)
        lines.append(list(spelled(chosen)))
        assert chosen.decode(lines[-1][0].line).values[_place("point")] == 'no "point" \\ at all'
        assert chosen.writer.unreadable["point"].keys == [str(row.pk)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("stored", ["infinity", "-infinity", "170000000 years"])
def test_a_duration_that_python_cannot_hold_is_told_and_not_taken_for_null(stored):
    Specimen.objects.using("postgresql").create(pk=1)
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("UPDATE library_specimen SET duration = %s", [stored])
    chosen = codec(Specimen, using="postgresql")
    (row,) = spelled(chosen)
    assert orjson.loads(row.line)["fields"]["duration"] is not None
    assert chosen.writer.unreadable["duration"].keys == ["1"]


def test_the_column_of_a_file_holds_its_name_however_it_is_shown():
    assert kind_of(CarriedFile()) is Kind.TEXT
    assert kind_of(models.ImageField()) is Kind.TEXT


def _place(name):
    names = [column.name for column in codec(Specimen, using="default").columns]
    return names.index(name)
