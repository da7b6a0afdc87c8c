"""What exists is documented, and what is documented exists."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import load_command_class

from tests.finding_codes import codes_in

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COMMANDS = sorted(path.stem for path in (ROOT / "diskette/management/commands").glob("d*.py"))
DJANGOS_OWN = {
    *("--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback"),
    *("--no-color", "--force-color", "--skip-checks"),
}
ALIASES = {"--noinput", "--ignorenonexistent_data"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    section = re.split(r"^## ", (DOCS / "commands.md").read_text(), flags=re.MULTILINE)
    (about,) = [part for part in section if f"`{name}" in part.splitlines()[0]]
    parser = load_command_class("diskette", name).create_parser("manage.py", name)
    options = {word for action in parser._actions for word in action.option_strings if "--" in word}
    missing = options - DJANGOS_OWN - ALIASES - {"--format"} - set(re.findall(r"--[\w-]+", about))
    assert not missing


def test_every_finding_code_has_its_section_and_every_section_its_code():
    codes = codes_in(ROOT / "diskette")
    sections = re.findall(r"^## `([a-z-]+)`", (DOCS / "findings.md").read_text(), re.MULTILINE)
    assert codes == set(sections)
    assert len(sections) == len(set(sections))


def test_the_codes_that_others_rely_on_stay():
    promised = """
        foreignkey-missing stale-contenttype stale-permission order plugin-before-parent hidden-rows
        uncovered-model excluded-target unknown-model unknown-field migration-mismatch
        unique-conflict null-conflict value-out-of-range row-count-mismatch digest-mismatch
        checksum-mismatch member-missing unsafe-member unsupported-format no-space file-vanished
        file-changed file-unreadable snapshot-lost lease-lost too-old
    """
    assert set(promised.split()) <= codes_in(ROOT / "diskette")


def test_every_dependency_has_its_reason():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = settings["project"], settings["dependency-groups"]
    listed = (DOCS / "dependencies.md").read_text()
    optional = [each for extra in project["optional-dependencies"].values() for each in extra]
    for requirement in [*project["dependencies"], *optional, *groups["benchmark"]]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert f"| {name}" in listed


def test_every_link_in_the_docs_leads_somewhere():
    for page in [*DOCS.glob("*.md"), ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_fault_has_its_row_and_every_row_its_test():
    rows = re.findall(
        r"^\| (.+?) \| `(tests/[\w/]+\.py)::(\w+)` \|",
        (DOCS / "reliability.md").read_text(),
        re.MULTILINE,
    )
    for fault, path, name in rows:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), fault
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    marks = {mark for text in sources for mark in re.findall(r'mark\.fault\("(.+?)"\)', text)}
    assert marks
    assert marks <= {fault for fault, *_ in rows}


def test_every_step_is_a_task_of_its_name():
    steps, tasks = import_module("diskette.steps"), import_module("diskette.tasks")
    names = {name for _, name in steps.FUNCTIONS}
    assert {task.name for task in tasks.STEP_TASKS.values()} == {f"diskette.{n}" for n in names}


def test_ci_runs_the_readmes_own_commands():
    commands = re.findall(r"^make [\w-]+", (ROOT / "README.md").read_text(), re.MULTILINE)
    run_in_ci = (ROOT / ".ci/run").read_text()
    assert commands
    assert all(re.search(rf"^{command}\b", run_in_ci, re.MULTILINE) for command in commands)
