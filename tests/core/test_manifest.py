from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from diskette.core.exceptions import ForeignArchive, UnsupportedFormat
from diskette.core.manifest import Manifest
from tests.core import samples

HUGE = 10**30


def parsed(raw: bytes) -> Manifest:
    return Manifest.from_bytes(raw, archive="shop.tar")


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    shape = orjson.loads(samples.manifest().to_bytes())
    change(shape)
    return orjson.dumps(shape)


def test_what_is_read_is_what_was_written():
    assert parsed(samples.manifest().to_bytes()) == samples.manifest()


def test_an_archive_of_nothing_but_storages_or_data_is_a_manifest_too():
    for changes in ({"storages": ()}, {"definitions": (), "load_order": (), "snapshots": ()}):
        manifest = samples.manifest(**changes)
        assert parsed(manifest.to_bytes()) == manifest


def test_what_a_later_diskette_adds_to_the_same_format_is_left_out():
    def add(shape):
        shape["colour"] = shape["storages"][0]["colour"] = "green"

    assert parsed(changed(add)) == samples.manifest()


def test_what_an_earlier_diskette_of_the_same_format_did_not_know_has_its_default():
    def remove(shape):
        del shape["definitions"][0]["models"][0]["natural_foreign"]

    assert parsed(changed(remove)) == samples.manifest()


def test_a_newer_format_is_told_from_damage():
    with pytest.raises(UnsupportedFormat, match="made in format 99; this Diskette reads up to"):
        parsed(changed(lambda shape: shape.update(format=99)))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"7", b'"manifest"', b"{}", b'{"format": "1"}', b'{"format": 1}',
        b"\xff\xfe", b"[" * 100_000, b'{"format": 1, "label": "\\ud800"}', b'{"format": true}',
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_a_foreign_archive(raw):
    with pytest.raises(ForeignArchive, match=r"shop\.tar: its manifest is not"):
        parsed(raw)


def rename(name: str) -> Callable[[dict[str, Any]], object]:
    """A storage of another name, with its members named accordingly."""

    def change(shape: dict[str, Any]) -> None:
        storage = shape["storages"][0]
        storage["name"] = name
        storage["tree"]["name"] = f"storages/{name}.tar.zst"
        storage["index"]["name"] = f"storages/{name}.index.jsonl.zst"

    return change


def set_at(place: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(shape: Any) -> None:
        *way, last = (int(word) if word.isdigit() else word for word in place.split())
        for word in way:
            shape = shape[word]
        shape[last] = value

    return change


TAMPERED = [
    ("storages 0 name", "other"),
    ("storages 0 tree name", "../../etc/passwd"),
    ("storages 0 tree name", 7),
    ("storages 0 tree bytes", -1),
    ("storages 0 tree bytes", 1.5),
    ("storages 0 tree sha256", "ABC"),
    ("storages 0 tree sha256", None),
    ("storages 0 tree", {"name": "storages/media.tar.zst", "bytes": 1}),
    ("storages 0 excludes", "*"),
    ("storages 0 files", True),
    ("storages", "media"),
    ("storages", None),
    ("storages", {"media": {}}),
    ("label", None),
    ("instant", "yesterday"),
    ("instant", "2026-11-22T02:00:00"),
    ("instant", "9999-12-31T23:59:59-23:00"),
    ("instant", 7),
    ("migrations", []),
    ("migrations", {"blog": "0001"}),
    ("load_order", "blog"),
    ("versions", {}),
    ("versions engines", ["sqlite"]),
    ("versions engines", {"default": 3}),
    ("findings", [{"code": "x"}]),
    ("findings 0 severity", "dire"),
    ("findings 0 message", ["not", "text"]),
    ("definitions 0 models 0 rows", "many"),
    ("definitions 0 models 0 natural_foreign", "yes"),
    ("definitions 0 models 0 digest", "no digest"),
    ("definitions 0 models 0 fields", [1, 2]),
    ("definitions 0 models 0 member name", "data/../x"),
    ("definitions 0 models 0 member name", "data/0002_blog.Article.jsonl.zst"),
]


@pytest.mark.parametrize(("place", "value"), TAMPERED, ids=[f"{p} = {v!r}" for p, v in TAMPERED])
def test_a_manifest_that_was_tampered_with_is_refused(place, value):
    with pytest.raises(ForeignArchive, match="its manifest is not one of Diskette's"):
        parsed(changed(set_at(place, value)))


@pytest.mark.parametrize(
    "name", ["../victim", "/etc", "a//b", "a/./b", "..", "", "media\n", "\x1b[31mred"]
)
def test_a_storage_whose_name_leaves_the_base_is_refused(name):
    with pytest.raises(ForeignArchive, match="its manifest is not one of Diskette's"):
        parsed(changed(rename(name)))


def test_a_storage_that_comes_twice_is_refused():
    with pytest.raises(ForeignArchive, match="a member is named twice"):
        parsed(changed(lambda shape: shape["storages"].append(shape["storages"][0])))


def test_a_count_beyond_all_counts_is_refused():
    raw = samples.manifest().to_bytes().replace(b'"raw_bytes": 4096', b'"raw_bytes": %d' % HUGE)

    with pytest.raises(ForeignArchive):
        parsed(raw)


@pytest.mark.parametrize("name", ["media", "var/media", ".well-known", "Ümläut", "a b", "x.tar"])
def test_an_ordinary_name_of_a_storage_is_kept(name):
    assert parsed(changed(rename(name))).storages[0].name == name
