"""Archives of a project that has gained or lost fields since."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db.migrations.recorder import MigrationRecorder
from django_celery_results.models import TaskResult

from diskette.core.archive import ArchiveReader
from diskette.core.assembling import write_archive
from diskette.core.checksum import digest_of
from diskette.core.manifest import Manifest, ModelEntry
from diskette.data import lines

from .conftest import run

Change = Callable[[dict[str, Any]], object]


def without_last_name(fields: dict[str, Any]) -> None:
    del fields["last_name"]


def with_colour(fields: dict[str, Any]) -> None:
    fields["colour"] = "red"


def made_again(archive: Path, directory: Path, change: Change, of: str = "auth.User") -> Path:
    """The archive as a project whose models have other fields would have made it."""
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
        members = reader.extract([each.name for each in manifest.members], directory)
    (entry,) = [each for each in manifest.models if each.model == of]
    changed = rewritten(entry, members[entry.member.name], change)
    path = directory / "older.tar"
    write_archive(path, holding(manifest, changed), members)
    return path


def rewritten(entry: ModelEntry, path: Path, change: Change) -> ModelEntry:
    with path.open("rb") as stream:
        raw = zstandard.ZstdDecompressor().stream_reader(stream).read()
    rows = [orjson.loads(line) for line in raw.splitlines()]
    for row in rows:
        change(row["fields"])
    spelled = [orjson.dumps(row) for row in rows]
    path.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in spelled)))
    digest = digest_of(path)
    return replace(
        entry,
        fields=tuple(rows[0]["fields"]),
        member=replace(entry.member, bytes=digest.size, sha256=digest.hex),
        digest=lines.digest_hex(sum(map(lines.row_digest, spelled))),
    )


def holding(manifest: Manifest, changed: ModelEntry) -> Manifest:
    definitions = [
        replace(
            each,
            models=tuple(changed if old.model == changed.model else old for old in each.models),
        )
        for each in manifest.definitions
    ]
    return replace(manifest, definitions=tuple(definitions))


@pytest.mark.parametrize(
    ("change", "options"),
    [(without_last_name, ()), (with_colour, ("--ignorenonexistent",))],
    ids=["a field added since", "a field removed since"],
)
def test_rows_of_other_fields_load_and_are_said_not_to_be_compared(
    project, archive, tmp_path, change, options
):
    older = made_again(archive, tmp_path / "members", change)
    User.objects.all().delete()
    done = run("diskette_load", str(older), "--no-input", *options)
    assert done.code == 0, done.err
    assert "auth.User not compared: its fields differ here" in done.err
    assert User.objects.get().username == "ada"
    assert project.left_over() == []


def test_a_field_removed_since_is_refused_unless_it_may_be_left_out(project, archive, tmp_path):
    older = made_again(archive, tmp_path / "members", with_colour)
    done = run("diskette_load", str(older), "--no-input")
    assert done.code == 4
    assert "auth.User has no field colour here, but has it in 1 row of the archive" in done.err


# The verdict, before a row is read


def without_staff(fields: dict[str, Any]) -> None:
    del fields["user"]


def verdict(archive: Path, *options: str) -> dict[str, Any]:
    done = run("diskette_load", str(archive), "--check", "--format", "json", *options)
    (found,) = [f for f in json.loads(done.out)["findings"] if f["code"] == "version"]
    return found


def at(archive: Path, directory: Path, leaf: str) -> Path:
    """The archive as if its users' tables had been at another migration."""
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
        members = reader.extract([each.name for each in manifest.members], directory)
    path = directory / "other.tar"
    migrations = {**manifest.migrations, "auth": (leaf,)}
    write_archive(path, replace(manifest, migrations=migrations), members)
    return path


def test_an_archive_of_the_same_version_needs_no_verdict(project, archive):
    done = run("diskette_load", str(archive), "--check", "--format", "json")
    assert json.loads(done.out)["findings"] == []


def test_the_verdict_is_loadable_where_every_field_is_here(project, archive, tmp_path):
    older = at(archive, tmp_path / "members", "0001_initial")
    assert verdict(older)["message"].endswith("loadable, for every field that it has is here.")
    assert run("diskette_load", str(older), "--no-input").code == 0


def test_the_verdict_is_what_has_to_be_left_out_and_how(project, archive, tmp_path):
    newer = made_again(archive, tmp_path / "members", with_colour)
    told = verdict(newer)
    assert told["message"].endswith("loadable ignoring these fields: auth.User.colour.")
    assert told["hint"] == "Load with --ignorenonexistent to leave them out."
    assert run("diskette_load", str(newer), "--no-input", "--ignorenonexistent").code == 0


def test_the_verdict_is_impossible_where_a_field_here_has_nothing_to_hold(project, settings):
    settings.DISKETTE_APPS = [["logs", {"models": ["admin.LogEntry"]}]]
    LogEntry.objects.create(user=User.objects.get(), object_id="1", action_flag=1)
    archive = Path(run("diskette_dump", "--no-storages").last_line)
    older = made_again(archive, project.base / "members", without_staff, of="admin.LogEntry")
    told = verdict(older)
    assert told["message"].endswith("impossible, because the archive has no admin.LogEntry.user.")
    assert "release of the project that the archive was made with" in told["hint"]
    assert run("diskette_load", str(older), "--no-input").code == 4


def test_the_verdict_is_migrate_first_and_then_it_loads(project, settings):
    settings.DISKETTE_APPS = [["logs", {"models": ["admin.LogEntry", "auth.User"]}]]
    archive = Path(run("diskette_dump", "--no-storages").last_line)
    recorded = MigrationRecorder.Migration.objects.filter(app="admin", name__startswith="0003")
    recorded.delete()
    try:
        first = "migrate to admin.0003_logentry_add_action_flag_choices first"
        assert first in verdict(archive)["message"]
        done = run("diskette_load", str(archive), "--no-input")
        assert done.code == 4
        assert "cure: Run `manage.py migrate admin --database default`" in done.err
    finally:
        call_command("migrate", "admin", database="default", verbosity=0)
    assert run("diskette_load", str(archive), "--no-input").code == 0


def test_an_archive_of_a_later_release_names_the_release_to_install(project, archive, tmp_path):
    newer = at(archive, tmp_path / "members", "0099_later")
    done = run("diskette_load", str(newer), "--check")
    assert "install the release of the project that has auth.0099_later" in done.err


# The same verdict before a load is thought of


def test_an_archive_is_inspected_with_its_verdict(project, archive, tmp_path):
    newer = made_again(archive, tmp_path / "members", with_colour)
    done = run("diskette_inspect", str(newer))
    assert done.code == 0
    assert "In this project it is loadable ignoring these fields: auth.User.colour." in done.out
    told = json.loads(run("diskette_inspect", str(newer), "--format", "json").out)["here"]
    assert told["verdict"] == "loadable-ignoring"
    assert told["hint"] == "Load with --ignorenonexistent to leave them out."
    plain = run("diskette_inspect", str(archive)).out
    assert "In this project it is loadable, for every field that it has is here." in plain


def test_other_surroundings_are_said_and_hinder_nothing(project, archive, tmp_path):
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
        members = reader.extract([each.name for each in manifest.members], tmp_path / "members")
    engines = {"default": "postgresql 15.1"}
    versions = replace(manifest.versions, django="4.2.1", engines=engines)
    write_archive(tmp_path / "old.tar", replace(manifest, versions=versions), members)
    done = run("diskette_inspect", str(tmp_path / "old.tar"))
    assert "It was made with Django 4.2.1; here is" in done.out
    assert "were postgresql 15.1's; here they go to SQLite" in done.out
    assert "In this project it is loadable" in done.out


# Nothing hides what comes after it


def named_otherwise(manifest: Manifest, old: str, new: str) -> Manifest:
    definitions = [
        replace(
            each,
            models=tuple(replace(m, model=new) if m.model == old else m for m in each.models),
        )
        for each in manifest.definitions
    ]
    return replace(manifest, definitions=tuple(definitions))


def test_an_unknown_model_does_not_hide_what_else_is_wrong(project, tmp_path):
    """All in one report, the same everywhere, and nothing is touched."""
    for name in ("ada", "eva"):
        User.objects.filter(username=name).delete()
        User.objects.create_user(name)
    archive = Path(run("diskette_dump", "--no-storages").last_line)

    def with_colour_and_without_name(fields: dict[str, Any]) -> None:
        fields["colour"] = "red"
        fields["username"] = "all the same"

    changed = made_again(archive, tmp_path / "members", with_colour_and_without_name)
    with ArchiveReader(changed) as reader:
        manifest = named_otherwise(reader.manifest, "auth.Group", "crm.Customer")
        members = reader.extract([each.name for each in manifest.members], tmp_path / "again")
    bad = tmp_path / "bad.tar"
    write_archive(bad, manifest, members)
    for options in (("--check",), ("--no-input",)):
        done = run("diskette_load", str(bad), "--format", "json", *options)
        told = json.loads(done.out)
        errors = [f["code"] for f in told["findings"] if f["severity"] == "error"]
        assert done.code == 4
        assert errors == sorted(set(errors), key=errors.index)
        assert {"unknown-model", "unknown-field", "unique-conflict"} <= set(errors)
        stored = TaskResult.objects.get(task_id=told["run"])
        codes = [f["code"] for f in json.loads(stored.result)["findings"]]
        assert set(errors) <= set(codes)
        assert set(User.objects.values_list("username", flat=True)) == {"ada", "eva"}
        assert project.left_over() == []


def test_an_unknown_model_without_rows_hinders_nothing(project, archive, tmp_path):
    Group.objects.all().delete()
    empty = Path(run("diskette_dump", "--no-storages").last_line)
    with ArchiveReader(empty) as reader:
        manifest = named_otherwise(reader.manifest, "auth.Group", "crm.Customer")
        members = reader.extract([each.name for each in manifest.members], tmp_path / "again")
    write_archive(tmp_path / "other.tar", manifest, members)
    done = run("diskette_load", str(tmp_path / "other.tar"), "--no-input")
    assert done.code == 0, done.err
    assert "crm.Customer: the archive has 0 rows of it" in done.err
