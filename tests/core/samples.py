"""A small archive, whole, and its pieces to build broken ones of."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from diskette.core.archive import SUMS_NAME, sums_of
from diskette.core.assembling import write_archive
from diskette.core.manifest import (
    FORMAT,
    MANIFEST_NAME,
    DefinitionEntry,
    Manifest,
    MemberEntry,
    ModelEntry,
    Snapshot,
    StorageEntry,
    Versions,
)
from diskette.core.report import Finding, Severity
from diskette.core.tar import END, Header, padding

INSTANT = datetime(2026, 11, 22, 2, 0, 0, 123456, tzinfo=UTC)
CONTENTS = {
    "data/0001_blog.Author.jsonl.zst": b"authors" * 100,
    "data/0002_blog.Article.jsonl.zst": b"articles" * 300,
    "storages/media.index.jsonl.zst": b"index" * 20,
    "storages/media.tar.zst": bytes(range(256)) * 16,
}


def member(name: str, contents: dict[str, bytes] = CONTENTS) -> MemberEntry:
    raw = contents[name]
    return MemberEntry(name=name, bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())


def model(number: int, label: str, contents: dict[str, bytes]) -> ModelEntry:
    return ModelEntry(
        model=label,
        table=label.lower().replace(".", "_"),
        member=member(f"data/{number:04}_{label}.jsonl.zst", contents),
        rows=3,
        raw_bytes=900,
        digest="ab" * 32,
        fields=("title", "author"),
        primary_key="id",
    )


def manifest(contents: dict[str, bytes] = CONTENTS, **changes: object) -> Manifest:
    whole = Manifest(
        format=FORMAT,
        label="shop",
        instant=INSTANT,
        run="0b9d2c1e-6f57-4a57-9b1d-0a8f3f6f2f10",
        purpose="dump",
        versions=Versions(
            diskette="1.0", django="5.2", python="3.11", engines={"default": "sqlite 3.40"}
        ),
        snapshots=(
            Snapshot(
                database="default",
                engine="sqlite",
                method="copy",
                name="copy.sqlite3",
                at=INSTANT.isoformat(),
            ),
        ),
        definitions=(
            DefinitionEntry(
                name="blog",
                database="default",
                models=(
                    model(1, "blog.Author", contents),
                    model(2, "blog.Article", contents),
                ),
            ),
        ),
        load_order=("blog.Author", "blog.Article"),
        storages=(
            StorageEntry(
                name="media",
                tree=member("storages/media.tar.zst", contents),
                index=member("storages/media.index.jsonl.zst", contents),
                entries=3,
                files=2,
                raw_bytes=4096,
                excludes=("cache/*",),
            ),
        ),
        migrations={"blog": ("0002_article",)},
        findings=(
            Finding(code="file-vanished", severity=Severity.WARNING, message="a file vanished"),
        ),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def files(directory: Path, contents: dict[str, bytes] = CONTENTS) -> dict[str, Path]:
    directory.mkdir(exist_ok=True)
    paths = {name: directory / str(number) for number, name in enumerate(contents)}
    for name, path in paths.items():
        path.write_bytes(contents[name])
    return paths


def archive(directory: Path, name: str = "shop.tar", **changes: object) -> Path:
    """A whole archive, written as Diskette writes it."""
    path = directory / name
    write_archive(path, manifest(**changes), files(directory / "parts"))
    return path


def entry(name: str, content: bytes = b"", **header: object) -> bytes:
    """One member's bytes."""
    header = {"size": len(content)} | header
    return Header(name=name, **header).to_bytes() + content + padding(len(content))  # type: ignore[arg-type]


def handmade(directory: Path, *extra: bytes) -> Path:
    """An archive with further members after those that the manifest promises."""
    return made_of([entry(name, content) for name, content in CONTENTS.items()], directory, *extra)


def made_of(members: list[bytes], directory: Path, *extra: bytes) -> Path:
    """A file of the sample's manifest, these members and the right sums."""
    path = directory / "handmade.tar"
    raw = manifest().to_bytes()
    sums = entry(SUMS_NAME, sums_of(manifest(), raw))
    path.write_bytes(b"".join((entry(MANIFEST_NAME, raw), *members, sums, *extra, END)))
    return path
