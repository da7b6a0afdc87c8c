"""Whatever a database holds arrives in another as it was, or is told before anything is written."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.data.anything import VALUES
from tests.data.conftest import MARIADB, SQLITE, clear
from tests.data.loading import Archive, Loading
from tests.library import models as library
from tests.library import samples

REFUSED = {MARIADB: {"float"}}
"""Fields of whose values some cannot be held: infinity, and zero with a sign."""
HELD = VALUES | {"uuid": st.uuids(version=4)}
"""MariaDB's type refuses UUIDs of versions that nobody has defined."""
SPECIMENS = st.lists(st.fixed_dictionaries({}, optional=HELD), min_size=1, max_size=20)


@settings(
    max_examples=12,
    phases=[Phase.reuse, Phase.generate],  # making it smaller would take hours of loading
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(specimens=SPECIMENS)
def test_any_value_arrives_as_it_was_or_is_told(using, tmp_path, specimens):
    for alias in (SQLITE, using):
        clear(alias)
    for pk, values in enumerate(specimens, 1):
        specimen = library.Specimen(pk=pk, stamped=samples.AT, **values)
        specimen.save(using=SQLITE, force_insert=True)
    archive, before = Archive(tmp_path).dump(SQLITE, [library.Specimen]), _contents(SQLITE)
    if using == SQLITE:
        clear(SQLITE)

    found = Loading(archive, using).load()

    if found:
        assert {finding.code for finding in found} == {"value-out-of-range"}
        assert {finding.field for finding in found} <= REFUSED.get(using, set())
        assert _contents(using) == []
    else:
        assert _contents(using) == before


@settings(
    max_examples=8,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_value_leaves_an_engine_as_it_was_or_is_told(using, tmp_path, data):
    """Dumped from each engine: into SQLite, and back into itself."""
    clear(using)
    for pk, values in enumerate(data.draw(_specimens_of(using)), 1):
        library.Specimen(pk=pk, stamped=samples.AT, **values).save(using=using, force_insert=True)
    archive, before = Archive(tmp_path).dump(using, [library.Specimen]), _contents(using)
    for target in dict.fromkeys((SQLITE, using)):
        clear(target)
        if found := Loading(archive, target).load():
            assert {(each.code, each.field) for each in found} == {("value-out-of-range", "float")}
            assert (target, _contents(target)) == (SQLITE, [])
        else:
            assert _contents(target) == before


def _specimens_of(using: str) -> st.SearchStrategy[list[dict[str, object]]]:
    """What an engine can hold, so that it can be dumped."""
    finite = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
    held = HELD | {"float": finite} if using == MARIADB else HELD
    return st.lists(st.fixed_dictionaries({}, optional=held), min_size=1, max_size=20)


def _contents(using: str) -> list[dict[str, object]]:
    """JSON is left to the digest: PostgreSQL spells 1e300 with all its digits."""
    rows = library.Specimen.objects.using(using).order_by("pk").values()
    return [{name: row[name] for name in row if "json" not in name} for row in rows]
