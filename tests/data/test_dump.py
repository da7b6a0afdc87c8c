from __future__ import annotations

import base64
import hashlib
import io
import os
from pathlib import Path

import orjson
import pytest
import zstandard
from django.contrib.auth.models import User
from django.db import connections, transaction
from psycopg.errors import QueryCanceled

from diskette.core.exceptions import ConfigurationError, Stopped
from diskette.core.report import Severity
from diskette.data import dump, lines
from diskette.data.codec import codec
from diskette.data.writer import LineWriter
from tests.data.reading import BOTH, ENGINES, PRESENT, lines_of, stored_models
from tests.library import models as library
from tests.library import samples
from tests.servers import require_mariadb

pytestmark = pytest.mark.django_db(databases=PRESENT)


@pytest.fixture(params=ENGINES)
def using(request):
    if request.param not in PRESENT:
        require_mariadb()
    return request.param


@pytest.fixture
def target(tmp_path):
    return tmp_path / "part.jsonl.zst"


def unwatched(_: int) -> None:
    """A tick that nobody counts."""


def test_a_part_says_what_its_file_holds(using, target):
    samples.fill(using)
    part = dump.dump_model(library.Book, target, using=using, tick=unwatched)

    written = _unpacked(target)
    assert written.splitlines(keepends=True) == [
        line + b"\n" for line in lines_of(library.Book, using)
    ]
    chosen = codec(library.Book, using=using)
    assert part == dump.ModelPart(
        model="library.Book",
        table="library_book",
        rows=len(samples.TEXTS),
        raw_bytes=len(written),
        bytes=target.stat().st_size,
        sha256=hashlib.sha256(target.read_bytes()).hexdigest(),
        digest=lines.digest_hex(sum(map(chosen.digest, written.splitlines()))),
        fields=(
            "title",
            "isbn",
            "series",
            "owner",
            "price",
            "cover",
            "created_at",
            "changed_at",
        ),
        primary_key="id",
        natural_foreign=False,
        hidden=0,
    )


def test_every_table_is_dumped_without_a_finding(using, tmp_path):
    samples.fill(using)
    for model in stored_models(using):
        part = dump.dump_model(model, tmp_path / model._meta.label, using=using, tick=unwatched)
        assert part.rows > 0
        assert part.findings == ()
        assert dump.digest_model(model, using=using, tick=unwatched) == (part.rows, part.digest)


def test_an_empty_table_is_an_empty_file(using, target):
    part = dump.dump_model(library.Mark, target, using=using, tick=unwatched)
    assert (part.rows, part.raw_bytes, part.digest) == (0, 0, "0" * 64)
    assert _unpacked(target) == b""


def test_the_digest_sees_every_change_and_no_order(using):
    first, second = (library.Genre(name=name) for name in ("a", "b"))
    for genre in (first, second):
        genre.save(using=using)
    before = dump.digest_model(library.Genre, using=using, tick=unwatched)
    genres = library.Genre.objects.using(using)
    genres.all().delete()
    for genre in (second, first):
        genre.save(using=using, force_insert=True)
    assert dump.digest_model(library.Genre, using=using, tick=unwatched) == before

    genres.filter(pk=first.pk).update(name="A")
    assert dump.digest_model(library.Genre, using=using, tick=unwatched) != before


def test_progress_is_told_at_least_every_thousand_rows(using, target):
    library.Mark.objects.using(using).bulk_create(library.Mark() for _ in range(2500))
    told = []
    dump.dump_model(library.Mark, target, using=using, tick=told.append)
    assert sum(told) == 2500
    assert max(told) <= 1000


def test_a_dump_that_is_stopped_leaves_no_file_and_a_usable_connection(using, target):
    library.Mark.objects.using(using).bulk_create(library.Mark() for _ in range(3000))

    def stop(_: int) -> None:
        raise Stopped("cancelled")

    with pytest.raises(Stopped), transaction.atomic(using=using):
        dump.dump_model(library.Mark, target, using=using, tick=stop)
    assert not target.exists()
    assert library.Mark.objects.using(using).count() == 3000


def test_a_query_that_the_server_ends_is_not_taken_for_a_whole_table(target):
    rows = (library.Small(color="long " * 4000) for _ in range(1500))
    library.Small.objects.using("postgresql").bulk_create(rows)

    def cancel(_: int) -> None:
        connections["postgresql"].connection.cancel()

    cancelled = pytest.raises(QueryCanceled)
    with cancelled, transaction.atomic(using="postgresql"):
        dump.dump_model(library.Small, target, using="postgresql", tick=cancel)
    assert not target.exists()
    assert library.Small.objects.using("postgresql").count() == 1500


@pytest.mark.parametrize("model", [library.Draft, library.Secret])
def test_rows_that_a_manager_hides_are_left_out_only_where_it_is_asked_for(using, target, model):
    for hidden in (False, True, True):
        model(title="t", hidden=hidden).save(using=using)
    every = dump.dump_model(model, target, using=using, tick=unwatched)
    shown = dump.dump_model(model, target, using=using, default_manager=True, tick=unwatched)
    assert (every.rows, every.hidden) == (3, 0)
    assert (shown.rows, shown.hidden) == (1, 2)


@pytest.mark.parametrize(
    "model", [library.MobileBranch, library.Seat, library.Odd, library.Loan, User.groups.through]
)
def test_the_manager_may_be_asked_of_any_table(using, target, model):
    samples.fill(using)
    every = dump.dump_model(model, target, using=using, tick=unwatched)
    shown = dump.dump_model(model, target, using=using, default_manager=True, tick=unwatched)
    assert (shown.rows, shown.digest, shown.hidden) == (every.rows, every.digest, 0)


def test_rows_may_go_without_their_key_where_they_have_a_natural_one(using, target):
    samples.fill(using)
    part = dump.dump_model(
        library.Series,
        target,
        using=using,
        natural_foreign=True,
        natural_primary=True,
        tick=unwatched,
    )
    assert (part.primary_key, part.natural_foreign) == ("", True)
    assert orjson.loads(_unpacked(target)) == {
        "model": "library.series",
        "fields": {"publisher": ["Pub & Sons"], "title": "Tales"},
    }


def test_a_table_that_is_not_there_is_explained(using, target):
    explained = pytest.raises(ConfigurationError, match=f"migrate --database {using}")
    with explained as raised, transaction.atomic(using=using):
        dump.dump_model(library.Ledger, target, using=using, tick=unwatched)
    assert "library.Ledger" in str(raised.value)
    assert not target.exists()


@pytest.mark.parametrize(
    ("column", "stored"),
    [
        ("integer", "many"),
        ("integer", 1.5),
        ("date", "yesterday"),
        ("instant", "2026-13-45 99:99:99"),
        ("uuid", "no uuid"),
        ("boolean", 7),
        ("decimal", "a lot"),
        ("text", b"\x00\xff"),
        ("binary", "text"),
        ("duration", "long"),
        ("point", "nowhere"),
    ],
)
def test_a_value_that_is_none_of_its_fields_stops_nothing_and_is_told(target, column, stored):
    """SQLite keeps anything anywhere; no row may be lost by it, nor all the others."""
    for key in (1, 2, 3):
        library.Specimen(pk=key, integer=key).save(using="default", force_insert=True)
    with connections["default"].cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute(f"UPDATE library_specimen SET {column} = %s WHERE id = 2", [stored])
        cursor.execute("PRAGMA ignore_check_constraints = OFF")

    part = dump.dump_model(library.Specimen, target, using="default", tick=unwatched)

    assert part.rows == 3
    (finding,) = part.findings
    assert (finding.code, finding.severity) == ("value-out-of-range", Severity.WARNING)
    assert (finding.model, finding.field) == ("library.Specimen", column)
    assert (finding.objects, finding.count) == (("2",), 1)
    rows = [orjson.loads(line) for line in _unpacked(target).splitlines()]
    assert [row["pk"] for row in rows] == [1, 2, 3]
    assert rows[1]["fields"][column] is not None
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM library_specimen")


def test_json_that_is_none_stands_as_a_string(target):
    library.Specimen(pk=1).save(using="default")
    with connections["default"].cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute("UPDATE library_specimen SET json = '{1: NaN}'")
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
    part = dump.dump_model(library.Specimen, target, using="default", tick=unwatched)
    assert [finding.field for finding in part.findings] == ["json"]
    assert orjson.loads(_unpacked(target))["fields"]["json"] == "{1: NaN}"
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM library_specimen")


@pytest.mark.parametrize("using", BOTH, indirect=True)
@pytest.mark.parametrize("rows", [0, 7, 5000])
def test_a_sample_tells_what_a_member_will_take(using, tmp_path, rows):
    library.Mark.objects.using(using).bulk_create(library.Mark() for _ in range(rows))
    packed = dump.packed(library.Mark, using=using, natural_foreign=False, natural_primary=False)
    part = dump.dump_model(library.Mark, tmp_path / "part", using=using, tick=unwatched)
    assert part.rows == rows
    assert packed == pytest.approx(part.bytes, rel=0.25, abs=10_000)


def test_of_large_rows_only_some_are_sampled(using, monkeypatch):
    monkeypatch.setattr(dump, "SAMPLE_BYTES", 1_000_000)
    library.Specimen.objects.using(using).all().delete()
    for key in range(1, 31):
        text = base64.b64encode(os.urandom(225_000)).decode()
        library.Specimen(pk=key, text=text).save(using=using, force_insert=True)
    spelled = []
    monkeypatch.setattr(LineWriter, "spell", noting(LineWriter.spell, spelled))
    packed = dump.packed(
        library.Specimen, using=using, natural_foreign=False, natural_primary=False
    )
    assert sum(spelled) < 30
    assert packed == pytest.approx(30 * 225_000, rel=0.25)
    assert library.Specimen.objects.using(using).count() == 30  # the connection is free again


def noting(spell, noted):
    """Notes the rows of each page that is spelled."""

    def spelled(writer, page):
        noted.append(len(page))
        return spell(writer, page)

    return spelled


@pytest.mark.parametrize("using", BOTH, indirect=True)
def test_an_estimate_is_of_the_right_order(using):
    library.Mark.objects.using(using).bulk_create(library.Mark() for _ in range(5000))
    with connections[using].cursor() as cursor:
        cursor.execute("ANALYZE library_mark")
    estimates = dump.estimate([library.Mark, library.Odd], using)
    assert set(estimates) == {"library.Mark", "library.Odd"}
    assert estimates["library.Mark"].rows == 5000
    assert estimates["library.Mark"].bytes > 50_000
    assert estimates["library.Odd"].rows < 200  # a page that deleted rows left, at most


def test_nothing_is_estimated_of_no_models(using):
    assert dump.estimate([], using) == {}


def test_large_rows_do_not_gather_in_memory(using, tmp_path):
    """Sixty rows of 2 MB, for which the process may take but 40 MB."""
    text = "x" * 2_000_000
    for key in range(1, 61):
        library.Specimen(pk=key, text=f"{key}{text}").save(using=using, force_insert=True)
    taken = []
    dump.dump_model(
        library.Specimen, tmp_path / "part", using=using, tick=lambda _: taken.append(_memory())
    )
    assert max(taken) - taken[0] < 40


def _memory() -> int:
    """This process's, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20


def _unpacked(path):
    with path.open("rb") as stream:
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stream.read())).read()
