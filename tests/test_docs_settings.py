"""docs/settings.md and docs/definitions.md cannot fall behind the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from diskette import checks, conf, deployment
from diskette.core.definition import Definition
from diskette.registry import findings

DOCS = Path(__file__).parent.parent / "docs"


def rows(page: str) -> dict[str, str]:
    """First cell, without its quotes, to the whole line, of every line of every table."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    found = (re.match(r"\| `([^`]+)` \|", line) for line in lines)
    return {each[1]: each.string for each in found if each}


@pytest.mark.parametrize("setting", conf.DEFAULTS)
def test_every_setting_has_its_line_with_default_and_check(setting):
    line = rows("settings.md")[setting]
    default = conf.DEFAULTS[setting]
    shown = f"{default:#o}" if setting.endswith("PERMISSIONS") else repr(default)
    check = next((r.id for r in checks.RULES if r.setting == setting), "diskette.E001")
    assert f"| `{shown}` |" in line
    assert f"`{check.removeprefix('diskette.')}`" in line


def test_every_check_has_its_line():
    named = {name for name in rows("settings.md") if name.startswith("diskette.")}
    written = re.findall(r'"(diskette\.[EW]\d{3})"', inspect.getsource(checks))
    written += re.findall(r'"(diskette\.W\d{3})"', inspect.getsource(deployment))
    assert named == {*written, *(rule.id for rule in checks.RULES)}


def test_no_other_setting_is_documented():
    named = {name for name in rows("settings.md") if name.startswith("DISKETTE_")}
    assert named == set(conf.DEFAULTS)


def test_every_parameter_of_a_definition_has_its_line():
    parameters = set(Definition.__slots__) - {"name"}
    assert set(rows("definitions.md")) >= parameters


def test_every_finding_about_definitions_has_its_line():
    codes = set(re.findall(r'code="([a-z-]+)"', inspect.getsource(findings)))
    assert codes == set(rows("definitions.md")) - set(Definition.__slots__)
