"""Archives of a project that has gained or lost fields since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from django.contrib.auth.models import User

from diskette.core.archive import ArchiveReader, write_archive
from diskette.core.checksum import digest_of
from diskette.core.manifest import Manifest, ModelEntry
from diskette.data import lines

from .conftest import run

Change = Callable[[dict[str, Any]], object]


def without_last_name(fields: dict[str, Any]) -> None:
    del fields["last_name"]


def with_colour(fields: dict[str, Any]) -> None:
    fields["colour"] = "red"


def made_again(archive: Path, directory: Path, change: Change) -> Path:
    """The archive as a project whose users have other fields would have made it."""
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
        members = reader.extract([each.name for each in manifest.members], directory)
    (entry,) = [each for each in manifest.models if each.model == "auth.User"]
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
