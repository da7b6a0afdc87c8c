from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskette.core.exceptions import ConfigurationError
from diskette.core.naming import ArchiveName, archive_name, free_name

INSTANT = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)
labels = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,40}[a-z0-9])?", fullmatch=True)
instants = st.integers(0, 250_000_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))


def named(pattern: str | None = None, **parts: bool) -> str:
    parts = {"data": True, "storages": True} | parts
    return archive_name(label="shop", instant=INSTANT, pattern=pattern, **parts)


def test_a_name_says_whose_archive_it_is_when_it_was_made_and_what_it_holds():
    assert named() == "shop_20261122T020000Z_data_storages.tar"
    assert named(storages=False) == "shop_20261122T020000Z_data.tar"
    assert named(data=False) == "shop_20261122T020000Z_storages.tar"


def test_the_instant_in_a_name_is_utc():
    berlin = timezone(timedelta(hours=1))
    name = archive_name(label="shop", instant=INSTANT.astimezone(berlin), data=True, storages=False)

    assert name == "shop_20261122T020000Z_data.tar"


@given(
    label=labels, instant=instants, data=st.booleans(), storages=st.booleans(),
    copy=st.integers(1, 99),
)  # fmt: skip
def test_what_a_name_says_is_what_it_was_made_of(label, instant, data, storages, copy):
    name = ArchiveName(label=label, instant=instant, data=data, storages=storages, copy=copy)

    assert ArchiveName.parse(str(name)) == name


@pytest.mark.parametrize(
    "name",
    ["backup.tar", "shop_20261322T020000Z.tar", "shop_20261122T020000Z.tar.gz", "", "x/y.tar"],
)
def test_a_name_of_another_pattern_says_nothing(name):
    assert ArchiveName.parse(name) is None


def test_the_original_patterns_give_names_of_plain_tar_files():
    assert named("diskette{features}.tar.gz") == "diskette_data_storages.tar"
    assert named("{date}.tgz") == "2026-11-22T020000.tar"
    assert named("{label}-{instant}") == "shop-20261122T020000Z.tar"


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [
        ("{project}.tar", "{project} is no part of an archive's name. Use {features}, {date}"),
        ("{label.__class__}.tar", "{label.__class__} is no part of an archive's name"),
        ("backups/{label}.tar", "a name holds no directory; set DISKETTE_DUMP_PATH"),
        (".hidden.tar", "a name begins with a letter or a digit"),
        ("", "a name begins with a letter or a digit"),
        ("x" * 200, "more than 180 bytes"),
    ],
)
def test_a_pattern_that_names_no_file_is_refused_with_its_cause(pattern, cause):
    with pytest.raises(ConfigurationError, match=re.escape(cause)):
        named(pattern)


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    assert free_name(tmp_path, "shop.tar") == "shop.tar"
    (tmp_path / "shop.tar").touch()
    assert free_name(tmp_path, "shop.tar") == "shop-2.tar"
    (tmp_path / "shop-2.tar").touch()
    assert free_name(tmp_path, "shop.tar") == "shop-3.tar"
