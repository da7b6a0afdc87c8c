from __future__ import annotations

import threading
from itertools import count

import pytest

from diskette.core.relay import BATCH_BYTES, Aside

PATIENCE = 60
MOST_WAITING = 5
"""Heavy acts: one at work, three handed over, one in the caller's hand."""


def test_acts_are_done_in_order_by_another_thread():
    done: list[tuple[int, int]] = []

    with Aside() as aside:
        for number in range(1000):
            aside.do(lambda number: done.append((number, threading.get_ident())), number)
        aside.finish()

    assert [number for number, _ in done] == list(range(1000))
    assert {thread for _, thread in done}.isdisjoint({threading.get_ident()})


def test_what_goes_wrong_is_told_when_all_should_be_done_and_ends_it():
    done: list[str] = []

    with Aside() as aside:
        aside.do(done.append, "before")
        aside.do({}.__getitem__, "nothing")
        aside.do(done.append, "after")
        with pytest.raises(KeyError, match="nothing"):
            aside.finish()

    assert done == ["before"]


def test_who_settles_goes_on_when_all_is_done_or_went_wrong():
    done: list[int] = []

    with Aside() as aside:
        for number in range(3):
            aside.do(done.append, number)
            aside.settle()
            assert done == list(range(number + 1))
        aside.do({}.__getitem__, "nothing")
        with pytest.raises(KeyError, match="nothing"):
            aside.settle()


def test_what_goes_wrong_is_told_to_a_caller_who_goes_on():
    with Aside() as aside, pytest.raises(KeyError):
        for _ in count():
            aside.do({}.__getitem__, "nothing", weight=BATCH_BYTES)


def test_a_caller_who_is_faster_than_the_thread_waits_for_it():
    asked, full = [0], threading.Event()
    waiting: list[int] = []

    def act(number: int) -> None:
        assert full.wait(PATIENCE)
        waiting.append(asked[0] - number)

    with Aside() as aside:
        for number in range(100):
            asked[0] = number + 1
            if asked[0] == MOST_WAITING:
                full.set()
            aside.do(act, number, weight=BATCH_BYTES)
        aside.finish()

    assert len(waiting) == 100
    assert max(waiting) == MOST_WAITING
