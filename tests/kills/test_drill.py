from __future__ import annotations

import pytest

from benchmarks import engines
from benchmarks.options import ALL_ENGINES
from tests import servers
from tests.kills.drill.__main__ import main
from tests.kills.drill.states import Picture


@pytest.mark.services
@pytest.mark.parametrize("engine", ALL_ENGINES)
def test_three_killed_loads_are_all_or_nothing(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    if engine == engines.MariaDBEngine.name:
        monkeypatch.setenv(engines.MARIADB, servers.require_mariadb())
    code = main(["--engine", engine, "--tries", "3", "--rows", "3000", "--seed", "1"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert printed.splitlines()[-1].endswith(" | 0 |")


@pytest.mark.services
@pytest.mark.parametrize("words", [(), ("--mounted",)], ids=["beside", "mounted"])
def test_three_killed_loads_of_files_are_all_or_nothing(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    options = ["--tries", "3", "--rows", "1000", "--files", "300", "--seed", "1"]
    code = main(["--engine", "sqlite", *options, *words])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert printed.splitlines()[-1].endswith(" | 0 |")


@pytest.mark.parametrize(
    ("at", "stands", "may_stand"),
    [(150, False, False), (151, True, True), (152, False, True), (153, False, False)],
)
def test_a_counter_may_stay_higher_only_where_the_engine_leaves_it_so(at, stands, may_stand):
    old, now = (Picture(tables={}, counters={"auth_user": each}) for each in (151, at))

    assert old.differences(now) == ([] if stands else ["counter auth_user"])
    assert old.differences(now, {"auth_user": 152}) == ([] if may_stand else ["counter auth_user"])
