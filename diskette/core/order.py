"""Putting what is needed before what needs it, cycles included.

Plain graphs of anything hashable. `needs` maps a node to the nodes it needs and how
strongly; where needs form a cycle, the weakest ones in it give way.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)
Needs = Mapping[Node, Mapping[Node, int]]


def arrange(nodes: Sequence[Node], needs: Needs[Node]) -> list[Node]:
    """The nodes, needed ones first.

    The given order is kept wherever no need contradicts it, so arranging twice changes
    nothing. Needs of nodes that are not among `nodes` do not count.
    """
    while True:
        groups = list(components(nodes, needs))
        knots = [frozenset(group) for group in groups if len(group) > 1]
        if not knots:
            return [node for group in groups for node in group]
        needs = _loosen(needs, knots)


def components(nodes: Sequence[Node], needs: Needs[Node]) -> Iterator[list[Node]]:
    """Strongly connected groups, needed groups first (Tarjan 1972, without recursion)."""
    place = {node: number for number, node in enumerate(nodes)}
    reached: dict[Node, int] = {}
    lowest: dict[Node, int] = {}
    waiting: dict[Node, None] = {}

    def enter(node: Node) -> tuple[Node, Iterator[Node]]:
        reached[node] = lowest[node] = len(reached)
        waiting[node] = None
        known = (needed for needed in needs.get(node, ()) if needed in place)
        return node, iter(sorted(known, key=place.__getitem__))

    for root in nodes:
        path = [] if root in reached else [enter(root)]
        while path:
            node, rest = path[-1]
            if (needed := next(rest, None)) is None:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == reached[node]:
                    yield _unwind(waiting, node)
            elif needed not in reached:
                path.append(enter(needed))
            elif needed in waiting:
                lowest[node] = min(lowest[node], reached[needed])


def _unwind(waiting: dict[Node, None], root: Node) -> list[Node]:
    group = []
    while root in waiting:
        group.append(waiting.popitem()[0])
    return group[::-1]


def _loosen(needs: Needs[Node], knots: Sequence[frozenset[Node]]) -> Needs[Node]:
    """The needs without the weakest ones inside each knot."""
    loosened = {node: dict(needed) for node, needed in needs.items()}
    for knot in knots:
        inside = [(node, each) for node in knot for each in needs.get(node, ()) if each in knot]
        weakest = min(needs[node][each] for node, each in inside if node != each)
        for node, each in inside:
            if needs[node][each] <= weakest:
                del loosened[node][each]
    return loosened
