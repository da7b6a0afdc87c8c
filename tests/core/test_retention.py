from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import ConfigurationError, ForeignArchive
from diskette.core.retention import COUNTS, Retention, Rules, decide
from tests.core import samples

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def info(days: float, *, whole: bool = True, proven: float | None = None, **changes: object):
    instant = NOW - timedelta(days=days)
    manifest = samples.manifest(instant=instant, **changes)
    return ArchiveInfo(
        path=Path(f"/backups/{days}-{sorted(changes.items())}-{whole}.tar"),
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


def rules(**given: object) -> Retention:
    """A policy whose safety copies have no rules less than its dumps."""
    return Retention(dumps=Rules(**given), safety=Rules(**given))


def reasons(*found: ArchiveInfo, **given: object) -> list[tuple[bool, str]]:
    return [(each.keep, each.reason) for each in decide(found, rules(**given), NOW)]


def removed(found: Sequence[ArchiveInfo], policy: Retention | None, now: datetime = NOW):
    return {each.archive.path for each in decide(found, policy, now) if not each.keep}


def kept_days(days: Iterable[float], **given: object) -> list[float]:
    found = {info(each).path: each for each in days}
    gone = removed([info(each) for each in found.values()], rules(**given))
    return [each for path, each in found.items() if path not in gone]


counts = st.one_of(st.none(), st.integers(1, 5))
some_rules = st.builds(
    Rules,
    **dict.fromkeys(("last", "hourly", "daily", "weekly", "monthly", "yearly"), counts),
    within=st.one_of(st.none(), st.integers(1, 200).map(lambda days: timedelta(days=days))),
    size=st.one_of(st.none(), st.integers(1, 12_000)),
)
policies = st.builds(Retention, dumps=some_rules, safety=some_rules)


def test_so_many_of_the_newest_are_kept():
    assert reasons(info(3), info(1), info(2), last=2) == [
        (True, "the newest whole one, last 1 of 2"),
        (True, "last 2 of 2"),
        (False, "kept by none of: last 2"),
    ]


def test_without_a_policy_all_are_kept():
    found = [info(1), info(2), info(300)]
    assert removed(found, None) == removed(found, Retention()) == set()


def test_a_bucket_keeps_its_newest():
    assert reasons(info(0), info(0.05), info(1), info(1.05), info(2), daily=2) == [
        (True, "the newest whole one, daily 1 of 2 (2026-11-22)"),
        (False, "kept by none of: daily 2"),
        (True, "daily 2 of 2 (2026-11-21)"),
        *[(False, "kept by none of: daily 2")] * 2,
    ]


def test_days_without_an_archive_are_not_counted():
    assert kept_days([0, 1, 30, 31, 200], daily=4) == [0, 1, 30, 31]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("hourly", [0, 1, 2, 8]),
        ("daily", [0, 1, 2, 8]),
        ("weekly", [0, 8, 20, 40]),
        ("monthly", [0, 40, 60, 90]),
        ("yearly", [0, 330, 800, 1200]),
    ],
)
def test_each_bucket_is_as_long_as_its_name(name, kept):
    days = [0, 1, 2, 8, 20, 40, 60, 90, 330, 400, 800, 1200]
    assert kept_days(days, **{name: 4}) == kept


def test_the_oldest_stays_until_there_are_as_many_buckets_as_wanted():
    assert reasons(info(0), info(5), info(6), monthly=12)[1:] == [
        (False, "kept by none of: monthly 12"),
        (True, "monthly: the oldest, as there are fewer than 12"),
    ]


def test_a_span_ends_at_the_newest_archive_not_at_now():
    assert kept_days([100, 101, 102, 103, 110, 111], within=timedelta(days=10)) == [
        *(100, 101, 102, 103, 110)
    ]


def test_a_size_lets_the_oldest_go_but_never_the_newest_or_the_last_proven():
    found = [info(0), info(1), info(2), info(3, proven=1)]
    assert reasons(*found, size=3000) == [
        (True, "the newest whole one, every archive is kept"),
        (True, "every archive is kept"),
        (False, "newer ones fill the size of 3.0 kB"),
        (True, "the last one proven to be restorable, every archive is kept"),
    ]
    assert removed(found, rules(size=1)) == {found[1].path, found[2].path}


def test_damaged_archives_and_strangers_are_neither_removed_nor_counted():
    assert sorted(reasons(info(1, whole=False), info(2), info(3), info(4), last=2)) == [
        (False, "kept by none of: last 2"),
        (True, "last 2 of 2"),
        (True, "not Diskette's, or damaged"),
        (True, "the newest whole one, last 1 of 2"),
    ]


def test_the_last_proven_archive_is_kept_however_old():
    assert reasons(info(1), info(90, proven=3), info(80, proven=50), last=1) == [
        (True, "the newest whole one, last 1 of 1"),
        (False, "kept by none of: last 1"),
        (True, "the last one proven to be restorable"),
    ]


def test_safety_copies_have_a_rule_of_their_own():
    safety = [info(days, purpose="safety") for days in (0, 1, 2)]
    dumps = [info(days) for days in (5, 6)]
    policy = Retention(dumps=Rules(last=1), safety=Rules(last=2))

    assert removed([*safety, *dumps], policy) == {safety[2].path, dumps[1].path}


def test_projects_that_share_a_destination_are_counted_apart():
    assert removed([info(0, label="blog"), info(1), info(2)], rules(last=1)) == {info(2).path}


def test_archives_of_other_parts_or_chosen_applications_are_counted_apart():
    media, data = info(0, definitions=()), info(1, storages=())
    blog = replace(info(2), chosen=("blog",))

    assert removed([media, data, blog, info(3), info(4)], rules(last=1)) == {info(4).path}


def test_an_archive_that_a_wrong_clock_dated_pushes_nothing_out():
    assert reasons(info(-400), info(1), info(2), last=1) == [
        (True, "dated in the future"),
        (True, "the newest whole one, last 1 of 1"),
        (False, "kept by none of: last 1"),
    ]


@pytest.mark.parametrize("years", [-1, 1])
@pytest.mark.parametrize("given", [{"daily": 7}, {"within": timedelta(days=9)}, {"last": 3}])
def test_a_clock_that_leaps_a_year_and_dumps_loses_hardly_more(years, given):
    nights = [info(days) for days in range(10)]
    wrong = info(-365 * years)

    gone = removed([wrong, *nights], rules(**given), NOW + timedelta(days=365 * years))

    assert wrong.path not in gone
    assert len(gone) <= len(nights) - 2


BERLIN = ZoneInfo("Europe/Berlin")


def at(*instants: str) -> list[ArchiveInfo]:
    """Archives of these instants of UTC."""
    moments = [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in instants]
    return [info((NOW - each).total_seconds() / 86400) for each in moments]


def test_days_begin_in_the_time_zone_of_now():
    found = at("2026-07-01T21:59", "2026-07-01T22:01", "2026-06-30T22:01")
    now = NOW.astimezone(BERLIN)

    assert removed(found, rules(daily=2), now) == {found[2].path}
    assert removed(found, rules(daily=2)) == {found[0].path}


def test_the_hour_that_comes_twice_is_two_hours():
    found = at("2026-10-25T00:30", "2026-10-25T01:30", "2026-10-24T23:30")

    assert removed(found, rules(hourly=3), NOW.astimezone(BERLIN)) == set()


def test_the_night_that_lacks_an_hour_is_a_day_like_others():
    found = at("2026-03-28T23:30", "2026-03-29T00:59", "2026-03-29T01:01", "2026-03-29T21:59")
    kept = removed(found, rules(daily=1), NOW.astimezone(BERLIN))

    assert kept == {each.path for each in found[:3]}


@given(archives, policies)
def test_the_newest_whole_archive_of_each_sort_is_never_removed(found, policy):
    gone = removed(found, policy)

    for kind in {(each.label, each.purpose) for each in found if each.manifest}:
        whole = [each for each in found if each.manifest and (each.label, each.purpose) == kind]
        assert max(whole, key=lambda each: (each.instant, each.name)).path not in gone


@given(archives, policies, st.integers(-800, 800))
def test_whatever_the_clock_says_an_archive_stays_and_so_does_the_last_proven(found, policy, days):
    now = NOW + timedelta(days=days)
    gone = removed(found, policy, now)

    assert not found or len(gone) < len(found)
    for kind in {(each.label, each.purpose) for each in found if each.manifest}:
        proven = [
            each
            for each in found
            if each.manifest and (each.label, each.purpose) == kind and each.proven_at
        ]
        if proven:
            assert max(proven, key=lambda each: (each.proven_at, each.instant)).path not in gone


@given(archives, policies)
def test_pruning_twice_is_pruning_once(found, policy):
    gone = removed(found, policy)

    assert removed([each for each in found if each.path not in gone], policy) == set()


@given(archives, policies)
def test_every_archive_gets_one_decision_and_a_reason(found, policy):
    decided = decide(found, policy, NOW)

    assert sorted(each.archive.path for each in decided) == sorted(each.path for each in found)
    assert all(each.reason for each in decided)


@given(archives, some_rules, st.sampled_from([*COUNTS, "within", "size"]))
def test_a_larger_policy_removes_no_more(found, given_rules, name):
    if name != "size":  # room for all: which of them a full disk keeps is another matter
        given_rules = replace(given_rules, size=None)
    if getattr(given_rules, name) is None:
        return
    larger = replace(given_rules, **{name: getattr(given_rules, name) * 2})
    small, large = (Retention(dumps=each, safety=each) for each in (given_rules, larger))

    assert removed(found, large) <= removed(found, small)


@given(policies)
def test_a_policy_survives_the_row_of_its_run(policy):
    assert Retention.from_json(json.loads(json.dumps(policy.to_json()))) == policy


def test_a_policy_is_read_from_a_setting():
    policy = Retention.from_setting(
        {"last": 3, "within": "1y2w3h", "size": "1.5 GiB", "safety": {"within": timedelta(1)}}
    )
    span = timedelta(days=366 + 14, hours=3)
    assert policy.dumps == Rules(last=3, within=span, size=3 * 2**29)
    assert policy.safety == Rules(within=timedelta(1))
    assert Retention.from_setting({}).safety == Rules(within=timedelta(days=14))


def test_every_mistake_in_a_policy_is_told():
    wrong = {"dayly": 7, "last": 0, "weekly": True, "within": "2 weeks", "size": "big"}
    with pytest.raises(ConfigurationError) as caught:
        Retention.from_setting({**wrong, "safety": {"safety": 1, "last": "3"}})
    assert [each.partition(" must")[0] for each in caught.value.problems] == [
        "DISKETTE_RETENTION: 'dayly' is no rule. Did you mean 'daily'?",
        "DISKETTE_RETENTION['last']",
        "DISKETTE_RETENTION['weekly']",
        "DISKETTE_RETENTION['within']",
        "DISKETTE_RETENTION['size']",
        (
            "DISKETTE_RETENTION['safety']: 'safety' is no rule. There are last, hourly, daily, "
            "weekly, monthly, yearly, within, size."
        ),
        "DISKETTE_RETENTION['safety']['last']",
    ]
