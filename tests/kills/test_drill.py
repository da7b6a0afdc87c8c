from __future__ import annotations

import pytest

from tests.kills.drill.__main__ import main

pytestmark = pytest.mark.services


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_three_killed_loads_are_all_or_nothing(engine: str, capsys: pytest.CaptureFixture[str]):
    code = main(["--engine", engine, "--tries", "3", "--rows", "3000", "--seed", "1"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert printed.splitlines()[-1].endswith(" | 0 |")
