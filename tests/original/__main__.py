"""Makes the archives that the tests load, with the real original: `make original-archives`.

Each version gets an environment of its own, with a site in it. What the site holds is written
beside the archives, for the tests to compare with: it is the same for every version.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ARCHIVES = HERE / "archives"
VERSIONS = {"0.5": "diskette>=0.5,<0.6", "0.6": "diskette>=0.6,<0.7"}
FILL = "from tests.original.filling import fill_site; fill_site()"
SHOW = "from tests.original.filling import show; show()"

Definitions = list[tuple[str, dict[str, Any]]]


def definitions(ending: str = "json", **common: Any) -> Definitions:
    """Two that take what they name, and a drain for the rest."""
    library = {"models": ["library"], "excludes": ["library.Mark"], "allow_drain": True}
    return [
        ("users", {"models": ["auth"], "filename": f"users.{ending}", **common}),
        ("library", {**library, "filename": f"library.{ending}", **common}),
        (
            "rest",
            {"is_drain": True, "drain_excluded": True, "filename": f"rest.{ending}", **common},
        ),
    ]


NATURAL = {"natural_foreign": True}
BOTH = {"natural_foreign": True, "natural_primary": True}
AS_NAMED = {"natural_foreign": True, "dump_command": "dumpdata_as"}
ONLY_DATA = ("--no-storages",)
DUMPS: Mapping[str, tuple[str, Definitions, tuple[str, ...]]] = {
    "0.5-json": ("0.5", definitions(**NATURAL), ()),
    "0.5-xml": ("0.5", definitions("xml", **AS_NAMED), ONLY_DATA),
    "0.6-json": ("0.6", definitions(**NATURAL), ()),
    "0.6-json-by-number": ("0.6", definitions(), ONLY_DATA),
    "0.6-json-indented": ("0.6", definitions(**NATURAL), (*ONLY_DATA, "--indent", "2")),
    "0.6-json-natural-keys": ("0.6", definitions(**BOTH), ONLY_DATA),
    "0.6-json-named-yaml": ("0.6", definitions("yaml", **NATURAL), ONLY_DATA),
    "0.6-jsonl": ("0.6", definitions("jsonl", **AS_NAMED), ONLY_DATA),
    "0.6-storages": ("0.6", definitions(), ("--no-data",)),
    "0.6-xml": ("0.6", definitions("xml", **AS_NAMED), ONLY_DATA),
    "0.6-xml-natural-keys": (
        "0.6",
        definitions("xml", **BOTH, dump_command="dumpdata_as"),
        ONLY_DATA,
    ),
    "0.6-yaml": ("0.6", definitions("yaml", **AS_NAMED), ONLY_DATA),
}
"""Archive: the version that makes it, of which definitions, with which options."""


@dataclass(frozen=True)
class Original:
    """One version, installed, with a site."""

    python: Path
    base: Path
    home: Path

    def manage(self, *words: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.home),
            "ORIGINAL_BASE": str(self.base),
            "DJANGO_SETTINGS_MODULE": "tests.original.project",
        }
        command = [str(self.python), "-m", "django", *words]
        done = subprocess.run(
            command, cwd=self.base, env=environment, text=True, stdout=subprocess.PIPE, check=True
        )
        return done.stdout

    def dump(self, name: str, chosen: Definitions, options: tuple[str, ...]) -> Path:
        configuration = self.base / f"{name}.json"
        configuration.write_text(json.dumps(chosen))
        file = f"{name}.tar.gz"
        self.manage("diskette_dump", "--appconf", str(configuration), "--filename", file, *options)
        return self.base / "archives" / file


def installed(requirement: str, directory: Path) -> Original:
    """The version in an environment of its own, its site migrated and filled."""
    subprocess.run([sys.executable, "-m", "venv", str(directory / "venv")], check=True)
    python = directory / "venv" / "bin" / "python"
    packages = [requirement, "Django>=5.2,<5.3", "PyYAML"]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    home, base = directory / "home", directory / "base"
    home.mkdir()
    (home / "tests").symlink_to(HERE.parent)
    (base / "archives").mkdir(parents=True)
    original = Original(python, base, home)
    original.manage("migrate", "-v0")
    original.manage("shell", "-v0", "-c", FILL)
    return original


def made(directory: Path) -> Iterator[str]:
    """Makes the archives. Gives what the site of each version holds."""
    for version, requirement in VERSIONS.items():
        (directory / version).mkdir()
        original = installed(requirement, directory / version)
        yield original.manage("shell", "-v0", "-c", SHOW)
        for name, (by, chosen, options) in DUMPS.items():
            if by == version:
                shutil.copy(original.dump(name, chosen, options), ARCHIVES)


def main() -> None:
    """Make everything anew."""
    shutil.rmtree(ARCHIVES, ignore_errors=True)
    ARCHIVES.mkdir()
    with tempfile.TemporaryDirectory() as directory:
        held = set(made(Path(directory)))
    (source,) = held  # one for all versions
    (ARCHIVES / "source.json").write_text(source)


if __name__ == "__main__":
    main()
