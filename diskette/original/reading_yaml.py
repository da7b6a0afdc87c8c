"""A fixture of YAML: one sequence of mappings, composed one after another, of plain values only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from diskette.original.reading import Bounded, FixtureRow

MOST_ANCHORS = 10_000
LONGEST_REPEATED = 1000
"""Characters of what an alias may repeat. Lists within lists could grow beyond all measure."""
MOST_REPEATED = 20


def rows(source: Bounded) -> Iterator[FixtureRow]:
    """Raises ValueError for what is no YAML, or no list of rows."""
    try:
        for tree in _Reader(source).items():
            if not isinstance(tree, dict) or not isinstance(tree.get("fields"), dict):
                raise ValueError("an item that is no row")  # noqa: TRY004 - as any other bad row
            yield FixtureRow(model=str(tree["model"]), pk=tree.get("pk"), fields=tree["fields"])
    except yaml.YAMLError as error:
        raise ValueError(f"no plain YAML: {error}") from error


class _Reader(Composer, SafeConstructor, Resolver):
    """Composes what the parser, in C where there is one, finds."""

    def __init__(self, source: Bounded) -> None:
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        parser = loader(source)
        self.check_event, self.get_event = parser.check_event, parser.get_event
        self.peek_event = parser.peek_event
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def items(self) -> Iterator[Any]:
        self._expect(yaml.StreamStartEvent)
        if self.check_event(yaml.StreamEndEvent):
            return
        self._expect(yaml.DocumentStartEvent)
        self._expect(yaml.SequenceStartEvent)
        while not self.check_event(yaml.SequenceEndEvent):
            yield self.construct_document(self.compose_node(None, None))
            self._forget()
        self._expect(yaml.SequenceEndEvent)
        self._expect(yaml.DocumentEndEvent)
        self._expect(yaml.StreamEndEvent)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node. An alias may only stand for what is small."""
        if self.check_event(yaml.AliasEvent):
            node = self.anchors.get(self.peek_event().anchor)
            if node is not None and not _is_small(node):
                raise ValueError("an alias of a list or mapping")
        return super().compose_node(parent, index)

    def _forget(self) -> None:
        """Keep of one row only what the next ones may repeat."""
        if self.anchors:
            self.anchors = {name: node for name, node in self.anchors.items() if _is_small(node)}
        if len(self.anchors) > MOST_ANCHORS:
            raise ValueError(f"more than {MOST_ANCHORS:,} anchors")

    def _expect(self, kind: type[yaml.Event]) -> None:
        if not self.check_event(kind):
            raise ValueError("YAML that is no list of rows")
        self.get_event()


def _is_small(node: Any) -> bool:
    if isinstance(node, yaml.SequenceNode):
        return len(node.value) <= MOST_REPEATED and all(map(_is_scalar, node.value))
    return _is_scalar(node)


def _is_scalar(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and len(node.value) <= LONGEST_REPEATED
