"""Archives in the original's form, packed by hand."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Member = tuple[tarfile.TarInfo, bytes]


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> Member:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, len(content)
    return found, content


def packed(path: Path, members: Iterable[Member], **manifest: Any) -> Path:
    """An archive of these members and then its manifest; None leaves that out."""
    shape = {"version": "0.6.0", "creation": "2026-11-22T11:21:28", "datas": None, "storages": None}
    with tarfile.open(path, "w:gz") as archive:
        for each, content in [
            *members,
            member("manifest.json", json.dumps(shape | manifest).encode()),
        ]:
            archive.addfile(each, io.BytesIO(content))
    return path


def with_rows(path: Path, text: str, name: str = "data/users.json") -> Path:
    """An archive of one fixture."""
    return packed(path, [member(name, text.encode())], datas=[name])
