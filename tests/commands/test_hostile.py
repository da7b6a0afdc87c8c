"""Archives that somebody made to harm: nothing of them lands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diskette.core.archive import ArchiveReader
from diskette.core.assembling import write_archive
from diskette.core.plan import State
from diskette.models import Run
from diskette.storages.index import Entry, Kind
from tests.commands.conftest import Project, run
from tests.storages.trees import ROOT, entry, handmade


def with_hostile(archive: Path, workspace: Path, *hostile: Entry) -> Path:
    """The same archive, with right digests, whose second storage holds such entries."""
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
        names = [member.name for member in manifest.members]
        members = reader.extract(names, workspace / "whole")
    first, second = manifest.storages
    made = handmade(workspace, ROOT, *((each, b"x" * each.size) for each in hostile))
    made = replace(
        made,
        name=second.name,
        tree=replace(made.tree, name=second.tree.name),
        index=replace(made.index, name=second.index.name),
    )
    members |= {made.tree.name: workspace / "tree", made.index.name: workspace / "index"}
    path = archive.with_name("hostile.tar")
    write_archive(path, replace(manifest, storages=(first, made)), members)
    return path


@pytest.fixture
def two_storages(project: Project, settings) -> Project:
    (project.base / "uploads").mkdir()
    settings.DISKETTE_STORAGES = [project.media, project.base / "uploads"]
    return project


@pytest.mark.parametrize("words", [(), ("--check",)], ids=["load", "check"])
@pytest.mark.parametrize(
    ("hostile", "code"),
    [
        (entry("/etc/evil", content=b"x"), "unsafe-member"),
        (entry("../evil", content=b"x"), "unsafe-member"),
        (entry("link", Kind.LINK, target="../../etc"), "unsafe-member"),
        (entry("no/where", content=b"x"), "unsafe-member"),
    ],
    ids=["absolute", "..", "link", "no directory"],
)
def test_a_hostile_storage_stops_a_load_before_any_is_unpacked(
    two_storages, tmp_path, hostile, code, words
):
    archive = Path(run("diskette_dump").last_line)
    made = with_hostile(archive, tmp_path / "w", hostile)

    done = run("diskette_load", str(made), "--no-input", *words)

    assert done.code == 1, done.err
    last = Run.objects.filter(kind="load").latest("created_at")
    (failed,) = last.steps.filter(state=State.FAILED)
    assert failed.name == "extract_archive"
    assert [each["code"] for each in failed.findings] == [code]
    assert not last.steps.filter(name="stage_storage", attempt__gt=0).exists()
    assert two_storages.left_over() == []
    assert (two_storages.media / "a.txt").read_text() == "a"
    assert made.exists()
