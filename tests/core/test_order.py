from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from diskette.core.order import arrange

NODES = "abcdefgh"
graphs = st.dictionaries(
    st.sampled_from(NODES),
    st.dictionaries(st.sampled_from(NODES), st.integers(1, 3)),
)
orders = st.permutations(NODES)


def spread(text: str) -> list[str]:
    return list(text)


def test_nothing_moves_without_a_need():
    assert arrange("cab", {}) == spread("cab")


def test_what_is_needed_comes_first_and_the_rest_stays():
    assert arrange("abc", {"a": {"c": 1}}) == spread("cab")


def test_a_need_for_something_else_does_not_count():
    assert arrange("ab", {"a": {"x": 1}, "x": {"b": 1}}) == spread("ab")


def test_the_weakest_need_gives_way_in_a_cycle():
    assert arrange("ab", {"a": {"b": 1}, "b": {"a": 2}}) == spread("ab")
    assert arrange("ab", {"a": {"b": 2}, "b": {"a": 1}}) == spread("ba")


def test_a_cycle_of_equals_stays_as_given_and_still_precedes_what_needs_it():
    circle = {"a": {"b": 2}, "b": {"a": 2}, "c": {"b": 1}}
    assert arrange("cba", circle) == spread("bca")
    assert arrange("bxac", circle) == spread("bxac")


def test_a_thousand_in_a_row_are_no_trouble():
    nodes = list(range(5_000))
    needs = {one: {other: 1} for one, other in pairwise(nodes)}
    assert arrange(nodes, needs) == nodes[::-1]


@given(orders, graphs)
def test_every_node_is_there_once(nodes: list[str], needs: Mapping[str, Mapping[str, int]]):
    assert sorted(arrange(nodes, needs)) == sorted(nodes)


@given(orders, graphs)
def test_arranging_twice_changes_nothing(nodes: list[str], needs: Mapping[str, Mapping[str, int]]):
    once = arrange(nodes, needs)
    assert arrange(once, needs) == once


@given(orders, graphs)
def test_a_need_is_broken_only_within_a_cycle(
    nodes: list[str], needs: Mapping[str, Mapping[str, int]]
):
    order = arrange(nodes, needs)
    for node, needed in needs.items():
        for each in needed:
            assert order.index(each) <= order.index(node) or node in reachable(each, needs)


def reachable(start: str, needs: Mapping[str, Mapping[str, int]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        for each in needs.get(ahead.pop(), {}):
            if each not in found:
                found.add(each)
                ahead.append(each)
    return found
