"""The reader of findings' codes, on sources that try to hide one."""

from __future__ import annotations

import pytest

from tests.finding_codes import HiddenCodeError, codes_in


def codes(directory, source):
    (directory / "module.py").write_text(source)
    return codes_in(directory)


@pytest.mark.parametrize(
    "source",
    [
        'Finding(code="order")',
        'Finding(code="order" if late else "order")',
        'class Late(Exception):\n    code: str = "order"',
        'code, keys = "order", ()\nFinding(code=code)',
        'code, word = {1: ("order", "late")}[number]\nFinding(code=code)',
        'def _found(message, code): return Finding(code=code)\n_found("late", "order")',
        'class Problem:\n    code: str\nProblem(code="order")',
    ],
)
def test_a_code_is_found_however_it_is_written(tmp_path, source):
    assert codes(tmp_path, source) == {"order"}


@pytest.mark.parametrize(
    "source",
    [
        "Finding(**shape)",
        "Finding(code=CODES[number])",
        "Finding(code=code_of(error))",
        "code, word = chosen()\nFinding(code=code)",
        "def found(code): return Finding(code=code)",
    ],
)
def test_a_code_that_cannot_be_read_is_an_error(tmp_path, source):
    with pytest.raises(HiddenCodeError, match=r"module\.py:"):
        codes(tmp_path, source)


def test_exit_codes_are_none_of_a_finding(tmp_path):
    assert codes(tmp_path, "code = FAILED if wrong else 0\nsys.exit(code)") == set()
