"""docs/deployment.md names the environment that the service reads, all of it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = re.compile(r'(?:environ(?:\.get)?|_flag|_words|_path)[\[(]\s*"([A-Z_]+)"')


def test_every_variable_that_is_read_is_documented():
    read = {
        name
        for module in ("settings", "config")
        for name in READ.findall((ROOT / "worker" / f"{module}.py").read_text())
    }
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert len(read) > 15
    assert {name for name in read if f"`{name}`" not in page} == set()
