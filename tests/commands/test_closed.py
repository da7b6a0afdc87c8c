"""An archive that holds all that its rows refer to is proven so; else each gap is named."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.commands.conftest import run
from tests.library import models as library

ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""How a member begins."""


def inspected(archive: str):
    done = run("diskette_inspect", archive, "--closed", "--format", "json")
    return done.code, json.loads(done.out)["unresolved"]


def dumped() -> str:
    return run("diskette_dump", "--no-storages").last_line


def test_an_archive_that_has_it_all_is_closed(project):
    Group.objects.get().permissions.add(Permission.objects.first())
    archive = dumped()
    with CaptureQueriesContext(connection) as asked:
        done = run("diskette_inspect", archive, "--closed")
    assert all("diskette_archive" in query["sql"] for query in asked)  # when it was proven
    assert done.code == 0, done.out
    assert "Closed: every reference of its rows leads to a row of it" in done.out
    assert project.left_over() == []


@pytest.mark.parametrize("natural", [False, True])
def test_each_reference_that_leads_out_of_it_is_named(project, settings, natural):
    settings.DISKETTE_APPS = [["s", {"models": ["library.Series"], "natural_foreign": natural}]]
    publisher = library.Publisher.objects.create(pk=5, name="p")
    library.Series.objects.create(pk=8, title="s", publisher=publisher)
    code, found = inspected(dumped())
    assert code == 4
    assert [(each["code"], each["model"], each["field"]) for each in found] == [
        ("foreignkey-missing", "library.Series", "publisher")
    ]
    assert found[0]["keys"] == ([["p"]] if natural else [5])
    assert found[0]["objects"] == [8]
    assert "not in the archive" in found[0]["message"]

    settings.DISKETTE_APPS[0][1]["models"].append("library.Publisher")
    assert inspected(dumped()) == (0, [])


def test_rows_here_do_not_make_up_for_what_is_missing_in_it(project, settings):
    settings.DISKETTE_APPS = [["users", {"models": ["auth.User_groups", "auth.User"]}]]
    archive = dumped()
    assert run("diskette_load", archive, "--check").code == 0
    code, (found,) = inspected(archive)
    assert (code, found["target"]) == (4, "auth.Group")


def test_links_to_what_no_project_has_are_named(project):
    kind = ContentType.objects.create(app_label="legacy", model="poll")
    right = Permission.objects.create(content_type=kind, codename="add_poll", name="x")
    User.objects.get().user_permissions.add(right)
    code, (found,) = inspected(dumped())
    assert (code, found["code"], found["keys"]) == (
        4,
        "stale-permission",
        [["add_poll", "legacy", "poll"]],
    )


def test_rows_that_dangle_are_named_and_those_that_may_are_warned_of(project, settings):
    settings.DISKETTE_APPS = [["loans", {"models": "library"}]]
    with connection.constraint_checks_disabled():
        library.Loan.objects.create(pk=1, book_id="none", formerly_id=4711)
    code, found = inspected(dumped())
    assert code == 4
    assert {each["field"]: each["severity"] for each in found} == {
        "book": "error",
        "formerly": "warning",
    }
    library.Loan.objects.all().delete()


def test_a_damaged_archive_is_told_and_nothing_is_left(project, archive):
    raw = bytearray(archive.read_bytes())
    raw[raw.index(ZSTANDARD) + 12] ^= 1
    archive.write_bytes(raw)
    code, found = inspected(str(archive))
    assert code == 4
    assert found[0]["code"] == "checksum-mismatch"
    assert project.left_over() == []


@pytest.mark.services
def test_a_whole_project_on_postgresql_is_closed(sites):
    site = sites.make(engine="postgresql")
    site.manage("diskette_dump", "--no-storages")
    printed = site.manage("diskette_inspect", "latest", "--closed")
    assert printed.splitlines()[-1].startswith("Closed: ")
