"""Ctrl-C in the middle of a command, or a reader that has read enough: it ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.servers import await_condition
from worker.sites import ROOT, Site

pytestmark = pytest.mark.services

INTERRUPTED = """
import os, pathlib, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run by `make &`
import django
django.setup()
from django.core.management import execute_from_command_line
from diskette.steps import FUNCTIONS
kind, step = sys.argv[1].split("/")
work = FUNCTIONS[kind, step]
def held(context):
    report, reached = work(context), pathlib.Path(sys.argv[2])
    if not reached.exists():
        reached.touch()
        threading.Event().wait()
    return report
FUNCTIONS[kind, step] = held
execute_from_command_line(["manage.py", *sys.argv[3:]])
"""
"""A command that stops at the end of a step, for a person to press Ctrl-C."""


@pytest.fixture
def site(tmp_path) -> Site:
    site = Site(directory=tmp_path, database_url=f"sqlite://{tmp_path}/site.sqlite3")
    site.manage("migrate", "-v0")
    site.manage("sample_fill")
    return site


def nobody_watches() -> None:
    """A moment that no stopwatch waits for."""


def interrupt_in(
    site: Site, step: str, *command: str, begins: Callable[[], None] = nobody_watches
) -> subprocess.CompletedProcess[str]:
    held = site.directory / "held"
    program = [sys.executable, "-c", INTERRUPTED, step, str(held), *command]
    process = subprocess.Popen(
        program,
        cwd=ROOT,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert await_condition(held.exists, seconds=60)
    begins()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(program, process.returncode, out, err)


def left_over(site: Site) -> list[str]:
    places = [
        *(site.archives / ".diskette").glob("*"),
        *site.archives.glob(".*.partial"),
        *site.directory.glob(".*diskette*"),
    ]
    return [path.name for path in places]


@pytest.mark.parametrize("step", ["dump_application", "assemble_archive"])
def test_a_dump_that_is_interrupted_leaves_nothing(site, step):
    done = interrupt_in(site, f"dump/{step}", "diskette_dump")
    assert done.returncode == 1
    assert "Interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert left_over(site) == []
    assert list(site.archives.glob("*.tar")) == []
    assert site.run("diskette_dump").returncode == 0


@pytest.mark.fault("Ctrl-C in a command")
@pytest.mark.parametrize("step", ["load_application", "stage_storage"])
def test_a_load_that_is_interrupted_changes_nothing(site, healing, step):
    archive = Path(site.manage("diskette_dump").splitlines()[-1])
    site.manage("sample_harm")
    before = site.manage("sample_picture")
    load = ("diskette_load", archive.name, "--no-input")
    done = interrupt_in(site, f"load/{step}", *load, begins=healing.begins)
    healing.told("cancelled, nothing changed")
    assert done.returncode == 1
    assert "Interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert left_over(site) == []
    assert site.manage("sample_picture") == before
    assert archive.exists()


@pytest.mark.fault("Ctrl-C when the rows are live")
def test_a_load_that_is_interrupted_once_its_rows_are_live_is_finished(site, healing):
    archive = Path(site.manage("diskette_dump").splitlines()[-1])
    before = site.manage("sample_picture")
    site.manage("sample_harm")
    load = ("diskette_load", archive.name, "--no-input", "--no-safety-dump")
    done = interrupt_in(site, "load/apply", *load, begins=healing.begins)
    healing.told("load succeeded")
    assert done.returncode == 1
    assert "went on and succeeded" in done.stderr
    assert "nothing was left behind" not in done.stderr
    assert left_over(site) == []
    assert site.manage("sample_picture") == before


def test_an_archive_that_was_complete_when_a_dump_was_interrupted_is_named(site):
    done = interrupt_in(site, "dump/publish_archive", "diskette_dump", "--no-storages")
    (archive,) = site.archives.glob("*.tar")
    assert done.returncode == 1
    assert f"nothing was left behind but {archive}, complete." in done.stderr
    assert left_over(site) == []


@pytest.mark.parametrize("buffered", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_a_reader_that_has_read_enough_is_no_fault(site, buffered):
    site.manage("diskette_dump", "--no-storages")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "django", "diskette_status", "latest"],
        cwd=ROOT,
        env={**site.environment, "PYTHONUNBUFFERED": "", **buffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
