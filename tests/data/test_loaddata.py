"""An archive's lines are fixtures: without Diskette, Django alone can load them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import JSONField, Value

from diskette.data.dump import digest_model
from tests.data.conftest import clear
from tests.data.reading import lines_of, stored_models
from tests.library import models as library
from tests.library import samples


def test_djangos_own_loaddata_restores_what_was_written(using, tmp_path):
    samples.fill(using)
    # Django's fixtures cannot tell JSON's null from SQL's.
    nothing = library.Specimen.objects.using(using).filter(json=Value(None, JSONField()))
    nothing.update(json=None)
    written = stored_models(using)
    fixture = tmp_path / "library.jsonl"
    fixture.write_bytes(b"\n".join(line for model in written for line in lines_of(model, using)))
    before = {model: digest(model, using) for model in written}
    clear(using)

    call_command("loaddata", fixture, verbosity=0, database=using)

    assert {model: digest(model, using) for model in written} == before


@pytest.mark.parametrize("natural_primary", [False, True])
def test_loaddata_restores_natural_keys_too(using, natural_primary, tmp_path):
    samples.fill(using)
    options = {"natural_foreign": True, "natural_primary": natural_primary}
    written = [library.Publisher, library.Series, library.Genre, User, library.Book]
    fixture = tmp_path / "books.jsonl"
    rows = [line for model in written for line in lines_of(model, using, **options)]
    fixture.write_bytes(b"\n".join(rows))
    before = {model: digest(model, using, **options) for model in written}
    clear(using)

    call_command("loaddata", fixture, verbosity=0, database=using)

    assert {model: digest(model, using, **options) for model in written} == before


def digest(model, using, **options):
    return digest_model(model, using=using, tick=lambda _: None, **options)
