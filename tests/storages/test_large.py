from __future__ import annotations

import pytest

from tests.storages.large.__main__ import main


@pytest.mark.services
def test_many_files_and_one_of_20_gb_come_back_within_150_mb(
    capsys: pytest.CaptureFixture[str],
):
    """`make large-storages` does it with a million."""
    code = main(["--files", "5000", "--sparse-gb", "20"])
    assert code == 0, capsys.readouterr().out
