from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal

import orjson
import pytest
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.db.models import JSONField, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskette.data.codec import MISSING, codec
from diskette.data.dump import digest_model
from diskette.data.lines import JSONText, row_digest
from diskette.data.values import Verbatim
from tests.data.anything import VALUES
from tests.data.reading import (
    BOTH,
    ENGINES,
    PRESENT,
    fields_of,
    lines_of,
    prepared,
    spelled,
    stored_models,
)
from tests.library import models as library
from tests.library import samples
from tests.library.fields import Point
from tests.servers import require_mariadb

pytestmark = pytest.mark.django_db(databases=PRESENT)


@pytest.fixture(params=ENGINES)
def using(request):
    if request.param not in PRESENT:
        require_mariadb()
    return request.param


def test_every_row_of_the_library_is_decoded_to_what_the_orm_would_write(using):
    samples.fill(using)
    for model in stored_models(using):
        chosen = codec(model, using=using)
        rows = list(models.QuerySet(model, using=using).order_by("pk"))
        assert rows, f"no sample of {model._meta.label}"
        for instance, row in zip(rows, list(spelled(chosen)), strict=True):
            decoded = chosen.decode(row.line)
            assert (decoded.unknown, decoded.invalid) == ({}, {})
            assert decoded.digest == row_digest(row.canonical) == chosen.digest(row.line)
            _compare(chosen, instance, decoded, using)


def _compare(chosen, instance, decoded, using):
    for column, value in zip(chosen.columns, decoded.values, strict=True):
        raw = getattr(instance, column.field.attname)
        if column.column in decoded.natural:
            key = getattr(instance, column.name).natural_key()
            assert decoded.natural[column.column] == key
        elif isinstance(value, JSONText):
            assert json.loads(value) == raw
        else:
            expected = prepared(column.field, raw, using)
            assert prepared(column.field, value, using) == expected, column.name


@pytest.mark.django_db(transaction=True, reset_sequences=True, databases=BOTH)
def test_the_same_library_has_the_same_digests_in_every_engine():
    digests = []
    for using in BOTH:
        ContentType.objects.clear_cache()
        samples.fill(using)
        digests.append({model: _digest(model, using) for model in stored_models("default")})
    assert digests[0] == digests[1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.fixed_dictionaries({}, optional=VALUES))
def test_any_value_has_one_line_in_every_engine_and_comes_back_from_it(values):
    found = set()
    for using in BOTH:
        library.Specimen.objects.using(using).all().delete()
        library.Specimen(pk=1, stamped=samples.AT, **values).save(using=using, force_insert=True)
        stored = library.Specimen.objects.using(using).get()
        chosen = codec(library.Specimen, using=using)
        (row,) = spelled(chosen)
        decoded = chosen.decode(row.line)
        assert decoded.invalid == {}
        _compare(chosen, stored, decoded, using)
        found.add(row.canonical)
    assert len(found) == 1


def test_json_null_is_told_from_no_value(using):
    library.Specimen.objects.using(using).create(json=None, encoded_json=Value(None, JSONField()))
    (line,) = lines_of(library.Specimen, using)
    assert orjson.loads(line)["json_null"] == ["encoded_json"]
    decoded = _decoded(library.Specimen, line)
    assert (decoded["json"], decoded["encoded_json"]) == (None, JSONText("null"))
    assert isinstance(decoded["encoded_json"], JSONText)


@pytest.mark.parametrize(
    "text", ["1.10", "12345678901234567890123456789", "0.1234567890123456789", "[1e-400]"]
)
def test_numbers_in_json_keep_every_digit(using, text):
    library.Specimen.objects.using(using).create()
    with connections[using].cursor() as cursor:
        cursor.execute("UPDATE library_specimen SET json = %s", [text])
        cursor.execute("SELECT json FROM library_specimen")
        ((stored,),) = cursor.fetchall()
    (line,) = lines_of(library.Specimen, using)
    assert _decoded(library.Specimen, line)["json"] == stored


def test_microseconds_are_kept_and_instants_are_in_utc(using):
    at = dt.datetime(2026, 3, 29, 3, 0, 0, 120001, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    library.Specimen.objects.using(using).create(instant=at, time=dt.time(1, 2, 3, 400000))
    (fields,) = fields_of(library.Specimen, using)
    assert fields["instant"] == "2026-03-29T01:00:00.120001+00:00"
    assert fields["time"] == "01:02:03.4"


def test_content_types_and_permissions_are_always_referred_to_by_name(using):
    samples.fill(using)
    (role, nobody) = fields_of(library.Role, using)
    assert role["permission"] == ["change_book", "library", "book"]
    assert role["about"] == ["library", "book"]
    assert (nobody["permission"], nobody["about"]) == (None, None)
    (pair,) = fields_of(Group.permissions.through, using)
    assert pair["permission"] == ["add_book", "library", "book"]


def test_a_natural_foreign_key_goes_through_others_where_asked_for(using):
    samples.fill(using)
    book, *_ = fields_of(library.Book, using, natural_foreign=True)
    assert (book["series"], book["owner"]) == (["Pub & Sons", "Tales"], ["ann"])
    book, *_ = fields_of(library.Book, using)
    assert isinstance(book["series"], int)


def test_natural_keys_of_many_rows_are_looked_up_at_once(using, django_assert_max_num_queries):
    publisher = library.Publisher.objects.using(using).create(name="P")
    rows = [library.Series(publisher=publisher, title=str(n)) for n in range(1200)]
    library.Series.objects.using(using).bulk_create(rows)
    with django_assert_max_num_queries(20, connection=connections[using]):
        fields = fields_of(library.Series, using, natural_foreign=True)
    assert {tuple(each["publisher"]) for each in fields} == {("P",)}
    assert len(fields) == 1200


def test_a_reference_to_a_row_that_is_gone_stands_by_its_value(using):
    book = library.Book.objects.using(using).create(title="t", isbn="i")
    library.Loan.objects.using(using).create(book=book, formerly_id=4711)
    (loan,) = fields_of(library.Loan, using, natural_foreign=True)
    assert loan["formerly"] == 4711


def test_a_child_has_only_its_own_tables_fields_and_its_parents_key(using):
    van = library.MobileBranch(name="Van", plate="X")
    van.save(using=using)
    (line,) = lines_of(library.MobileBranch, using)
    assert orjson.loads(line) == {
        "model": "library.mobilebranch",
        "pk": van.pk,
        "fields": {"plate": "X"},
    }
    assert _decoded(library.MobileBranch, line) == {"base_id": van.pk, "plate": "X"}


def test_a_composite_key_is_a_list_and_its_parts_are_fields(using):
    place = library.Place.objects.using(using).create(name="Hall")
    library.Seat.objects.using(using).create(room=place, number=2)
    (line,) = lines_of(library.Seat, using)
    assert orjson.loads(line)["pk"] == [place.pk, 2]
    decoded = _decoded(library.Seat, line)
    assert (decoded["room_id"], decoded["number"]) == (place.pk, 2)


def test_generated_columns_are_the_databases_business(using):
    library.Book.objects.using(using).create(title="four", isbn="i")
    (fields,) = fields_of(library.Book, using)
    assert "title_length" not in fields


def test_rows_that_managers_hide_are_read_all_the_same(using):
    for model in (library.Draft, library.Secret):
        for hidden in (False, True):
            model(title="t", hidden=hidden).save(using=using)
        assert [each["hidden"] for each in fields_of(model, using)] == [False, True]


def test_a_field_of_a_projects_own_is_written_by_its_own_methods(using):
    library.Specimen.objects.using(using).create(point=Point(1, -2), shouted="HI", words=("a", "b"))
    (fields,) = fields_of(library.Specimen, using)
    assert (fields["point"], fields["shouted"], fields["words"]) == ("1;-2", "HI", "a,b")


def test_rows_come_by_primary_key(using):
    for key in (30, 4, 11):
        library.Mark(pk=key).save(using=using)
    assert [orjson.loads(line)["pk"] for line in lines_of(library.Mark, using)] == [4, 11, 30]


def test_a_column_of_another_type_than_its_fields_is_read_as_django_reads_it():
    """Tables that are older than their models; PostgreSQL says what its columns are."""
    library.Specimen.objects.using("postgresql").create(
        instant=samples.AT, float=1.5, ip="10.0.0.1", integer=7, json={"a": [1.5]}
    )
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("""
            ALTER TABLE library_specimen
            ALTER instant TYPE timestamp USING instant AT TIME ZONE 'UTC',
            ALTER float TYPE numeric, ALTER ip TYPE varchar(40), ALTER integer TYPE numeric,
            ALTER json TYPE json""")
    (fields,) = fields_of(library.Specimen, "postgresql")
    assert fields["instant"] == "2026-10-25T00:30:00.123456+00:00"
    assert (fields["ip"], fields["json"]) == ("10.0.0.1/32", {"a": [1.5]})
    assert float(fields["float"]) == 1.5
    assert int(fields["integer"]) == 7


@pytest.mark.parametrize(
    ("column", "stored"),
    [
        ("date", "infinity"),
        ("date", "0044-03-15 BC"),
        ("time", "24:00:00"),
        ("instant", "-infinity"),
        ("instant", "0044-03-15T12:00:00+00:00 BC"),
        ("instant", "12026-03-15T12:00:00.5+00:00"),
    ],
)
def test_what_python_has_no_type_for_stands_in_postgresqls_own_words(column, stored):
    library.Specimen.objects.using("postgresql").create()
    with connections["postgresql"].cursor() as cursor:
        cursor.execute(f"UPDATE library_specimen SET {column} = %s", [stored])
    (line,) = lines_of(library.Specimen, "postgresql")
    value = _decoded(library.Specimen, line)[column]
    assert (type(value), value) == (Verbatim, stored)


def test_a_roles_own_settings_do_not_change_what_is_read():
    library.Specimen.objects.using("postgresql").create(
        float=0.1 + 0.2, binary=b"\x00\xff", duration=dt.timedelta(days=3, hours=1)
    )
    expected = lines_of(library.Specimen, "postgresql")
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("""
            SET LOCAL extra_float_digits = -3; SET LOCAL bytea_output = 'escape';
            SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL datestyle = 'German';
            SET LOCAL timezone = 'Asia/Kathmandu'""")
    assert lines_of(library.Specimen, "postgresql") == expected


def test_floats_that_json_lacks_are_strings():
    values = [float("nan"), float("inf"), float("-inf")]
    for value in values:
        library.Specimen.objects.using("postgresql").create(float=value)
    found = [each["float"] for each in fields_of(library.Specimen, "postgresql")]
    assert found == ["NaN", "Infinity", "-Infinity"]
    decoded = [
        _decoded(library.Specimen, line)["float"]
        for line in lines_of(library.Specimen, "postgresql")
    ]
    assert str(decoded) == str(values)


def test_a_line_may_lack_fields_and_have_others():
    decoded = codec(library.Draft, using="default").decode(
        b'{"model": "library.draft", "pk": 1, "fields": {"title": "t", "gone": 1, "tags": [1, 2]}}'
    )
    assert decoded.values == [1, "t", MISSING]
    assert decoded.unknown == {"gone": 1, "tags": [1, 2]}


def test_a_line_without_a_key_leaves_it_to_the_loader():
    decoded = codec(library.Mark, using="default").decode(b'{"model":"library.mark","fields":{}}')
    assert decoded.values == [MISSING]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("instant", "2026-01-01T00:00:00Z", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        ("instant", "2026-01-01 01:00:00+01:00", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        ("decimal", 1.5, Decimal("1.5")),
        ("integer", "17", 17),
        ("boolean", "True", True),
        ("uuid", uuid.UUID(int=7).hex, uuid.UUID(int=7)),
        ("duration", "P1DT2S", dt.timedelta(days=1, seconds=2)),
        ("char", 5, "5"),
        ("float", "1.5", 1.5),
    ],
)
def test_djangos_looser_fixtures_are_read_too(field, value, expected):
    assert _decoded(library.Specimen, _line(field, value))[field] == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uuid", "x"),
        ("integer", "many"),
        ("integer", [1]),
        ("date", "2026-13-45"),
        ("instant", {}),
        ("binary", "***"),
        ("decimal", "1,5"),
        ("point", "nowhere"),
        ("duration", "long"),
    ],
)
def test_a_value_that_is_none_of_its_fields_is_told_and_kept(field, value):
    chosen = codec(library.Specimen, using="default")
    decoded = chosen.decode(_line(field, value))
    assert list(decoded.invalid) == [field]
    assert decoded.invalid[field]
    names = [column.name for column in chosen.columns]
    assert decoded.values[names.index(field)] == value


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"1", b'{"pk":1}', b'{"fields":[]}', b"\xff{}"])
@pytest.mark.parametrize("model", [library.Mark, library.Specimen])
def test_a_line_that_is_no_row_is_refused(model, line):
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own words
        codec(model, using="default").decode(line)


def test_the_digest_does_not_depend_on_how_json_is_spelled():
    chosen = codec(library.Specimen, using="default")
    digests = {
        chosen.digest(b'{"model":"library.specimen","pk":1,"fields":{"json":%s}}' % text)
        for text in (b'{"a":1,"b":2.50}', b'{"b":2.5, "a":1}', b'{"b":25e-1,"a":1.0}')
    }
    assert len(digests) == 1


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York"])
def test_without_time_zones_instants_stand_in_local_time(settings, zone):
    settings.USE_TZ, settings.TIME_ZONE = False, zone
    try:
        at = dt.datetime(2026, 7, 1, 12, 0, 0, 5)  # noqa: DTZ001 - that is what it is about
        for using in BOTH:
            connections[using].timezone_name, connections[using].ensure_timezone()
            library.Specimen.objects.using(using).create(instant=at, stamped=at)
            (line,) = lines_of(library.Specimen, using)
            assert orjson.loads(line)["fields"]["instant"] == "2026-07-01T12:00:00.000005"
            assert _decoded(library.Specimen, line)["instant"] == at
    finally:
        settings.USE_TZ, settings.TIME_ZONE = True, "UTC"
        for using in BOTH:
            connections[using].ensure_timezone()


def _decoded(model, line):
    chosen = codec(model, using="default")
    names = [column.column for column in chosen.columns]
    return dict(zip(names, chosen.decode(line).values, strict=True))


def _digest(model, using, **options):
    return digest_model(model, using=using, tick=lambda _: None, **options)


def _line(field, value):
    return orjson.dumps({"model": "library.specimen", "pk": 1, "fields": {field: value}})
