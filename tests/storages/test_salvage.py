"""Damaged trees: each file is the one that was collected, or told as lost; no live one is."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from diskette.core.files import printable
from diskette.storages import Loss, StoragePart, discard, salvage
from diskette.storages.merging import complete
from tests.filesystems import NOBODY, mounted
from tests.storages.trees import RUN, collected, look, promised, uncounted

PLACES = 40


def salvaged(part: StoragePart, raw: bytes, workspace: Path, live: Path) -> tuple[Path, Loss]:
    entry, index = promised(part), workspace / "index"
    loss = salvage(entry, io.BytesIO(raw), index, live, RUN, tick=uncounted)
    return live.with_name(f".media.diskette-{RUN}.staged"), loss


@pytest.mark.parametrize("is_cut", [False, True])
def test_wherever_it_is_damaged_the_rest_is_as_it_was(awkward, tmp_path, is_cut):
    workspace, live = tmp_path / "w", tmp_path / "media"
    part, before = collected(awkward, workspace), look(awkward.root)
    raw = (workspace / "tree").read_bytes()
    for place in range(7, len(raw), len(raw) // PLACES):
        rest = b"" if is_cut else bytes([raw[place] ^ 0xFF]) + raw[place + 1 :]
        tree, loss = salvaged(part, raw[:place] + rest, workspace, live)
        found = look(tree)
        lost = before.keys() - found.keys()
        assert sorted(map(printable, lost)) == sorted(loss.paths)
        assert {before[path][0] for path in lost} <= {"file"}
        assert described(found) == {
            path: each for path, each in described(before).items() if path not in lost
        }
        discard(live, RUN)
        assert not tree.exists()


def described(found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Without how many names a file has, for some may be lost."""
    return {path: each[:-1] if each[0] == "file" else each for path, each in found.items()}


def test_what_is_live_beside_it_stays_even_from_another_disk(tmp_path):
    staged, live = tmp_path / "staged", tmp_path / "live"
    for directory in (staged / "both", live / "both"):
        directory.mkdir(parents=True)
    (staged / "both" / "a").write_text("of the archive")
    (live / "both" / "a").write_text("live")
    (live / "both" / "b").write_text("live")
    (live / "both" / "link").symlink_to("b")
    with mounted(live / "disk"):
        (live / "disk" / "c").write_text("live")
        (live / "disk" / "c").chmod(0o640)
        os.chown(live / "disk" / "c", NOBODY, NOBODY)
        complete(staged, live, uncounted)
        copied = look(live)["disk/c"]

    assert look(staged)["disk/c"] == copied
    assert (staged / "both" / "a").read_text() == "of the archive"
    assert (staged / "both" / "b").samefile(live / "both" / "b")
    assert (staged / "both" / "link").readlink() == Path("b")
