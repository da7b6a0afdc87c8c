from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import ForeignArchive
from diskette.core.retention import decide
from tests.core import samples

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def info(days: float, *, whole: bool = True, proven: float | None = None, **changes: str):
    instant = NOW - timedelta(days=days)
    manifest = samples.manifest(instant=instant, **changes)
    return ArchiveInfo(
        path=Path(f"/backups/{days}-{changes}-{whole}.tar"),
        size=1000,
        instant=instant,
        label=manifest.label,
        manifest=manifest if whole else None,
        error=None if whole else ForeignArchive("shop.tar", "it is cut off."),
        proven_at=None if proven is None else NOW - timedelta(days=proven),
    )


archives = st.lists(
    st.builds(
        info,
        st.integers(-3, 400),
        whole=st.booleans(),
        proven=st.one_of(st.none(), st.integers(0, 400)),
        label=st.sampled_from(["shop", "blog"]),
        purpose=st.sampled_from(["dump", "safety"]),
    ),
    max_size=12,
    unique_by=lambda archive: archive.path,
)


def reasons(*found: ArchiveInfo, keep_last: int | None) -> list[tuple[bool, str]]:
    return [(each.keep, each.reason) for each in decide(found, keep_last, NOW)]


def removed(found: list[ArchiveInfo], keep_last: int | None) -> set[Path]:
    return {each.archive.path for each in decide(found, keep_last, NOW) if not each.keep}


def test_so_many_of_the_newest_are_kept():
    assert reasons(info(3), info(1), info(2), keep_last=2) == [
        (True, "the newest whole one"),
        (True, "one of the newest 2"),
        (False, "older than the newest 2"),
    ]


def test_without_a_number_all_are_kept():
    assert [keep for keep, _ in reasons(info(1), info(2), info(300), keep_last=None)] == [True] * 3


def test_damaged_archives_and_strangers_are_neither_removed_nor_counted():
    assert reasons(info(1, whole=False), info(2), info(3), info(4), keep_last=2) == [
        (True, "damaged, or not Diskette's"),
        (True, "the newest whole one"),
        (True, "one of the newest 2"),
        (False, "older than the newest 2"),
    ]


def test_the_last_proven_archive_is_kept_however_old():
    assert reasons(info(1), info(90, proven=3), info(80, proven=50), keep_last=1) == [
        (True, "the newest whole one"),
        (False, "older than the newest 1"),
        (True, "the last one proven to be restorable"),
    ]


def test_safety_copies_do_not_push_dumps_out():
    safety = [info(days, purpose="safety") for days in (0, 1, 2)]
    dumps = [info(days) for days in (5, 6)]

    assert removed([*safety, *dumps], 2) == {safety[2].path}


def test_projects_that_share_a_destination_are_counted_apart():
    assert removed([info(0, label="blog"), info(1), info(2)], 1) == {info(2).path}


def test_an_archive_that_a_wrong_clock_dated_pushes_nothing_out():
    assert reasons(info(-400), info(1), info(2), keep_last=1) == [
        (True, "dated in the future"),
        (True, "the newest whole one"),
        (False, "older than the newest 1"),
    ]


@given(archives, st.one_of(st.none(), st.integers(0, 5)))
def test_the_newest_whole_archive_of_each_project_is_never_removed(found, keep_last):
    gone = removed(found, keep_last)

    for kind in {(each.label, each.purpose) for each in found if each.manifest}:
        whole = [each for each in found if each.manifest and (each.label, each.purpose) == kind]
        assert max(whole, key=lambda each: (each.instant, each.name)).path not in gone


@given(archives, st.one_of(st.none(), st.integers(0, 5)))
def test_pruning_twice_is_pruning_once(found, keep_last):
    gone = removed(found, keep_last)

    assert removed([each for each in found if each.path not in gone], keep_last) == set()


@given(archives, st.one_of(st.none(), st.integers(0, 5)))
def test_every_archive_gets_one_decision(found, keep_last):
    decided = [each.archive.path for each in decide(found, keep_last, NOW)]

    assert sorted(decided) == sorted(each.path for each in found)


@given(archives, st.integers(0, 5))
def test_keeping_more_removes_no_more(found, keep_last):
    assert removed(found, keep_last + 1) <= removed(found, keep_last)
