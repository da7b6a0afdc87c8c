"""What of an archive a load takes: all, or what was chosen and what that needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diskette import registry
from diskette.core.exceptions import UsageError
from diskette.core.lazy import Lazy
from diskette.core.manifest import DefinitionEntry, Manifest, ModelEntry
from diskette.core.report import JSON

if TYPE_CHECKING:
    from diskette.data import tables
else:
    tables = Lazy("diskette.data.tables")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    definitions: tuple[DefinitionEntry, ...]
    """With the models that are loaded, and no others."""
    added: frozenset[str]
    """Labels of those models of which only rows are loaded that the others need."""

    @property
    def whole(self) -> list[tuple[DefinitionEntry, ModelEntry]]:
        """The models that are loaded row by row, with their definitions."""
        return [
            (definition, entry)
            for definition in self.definitions
            for entry in definition.models
            if entry.model not in self.added
        ]


def select(
    manifest: Manifest, options: Mapping[str, JSON], left_out: Collection[str] = ()
) -> Selection:
    """Raises UsageError for a definition or model that the archive does not have.

    `left_out`: names of members that are damaged, as if the archive did not have them.
    """
    _refuse_unknown(manifest, options)
    if not options["data"]:
        return Selection(definitions=(), added=frozenset())
    offered = [
        replace(each, models=tuple(e for e in each.models if e.member.name not in left_out))
        for each in manifest.definitions
        if not each.is_named(options["exclude"])
    ]
    labels = [entry.model for each in offered for entry in each.models]
    chosen = _chosen(offered, options) if _is_filtered(options) else set(labels)
    wanted = _closed(chosen, labels, _references)
    kept = (
        replace(each, models=tuple(entry for entry in each.models if entry.model in wanted))
        for each in offered
    )
    return Selection(
        definitions=tuple(each for each in kept if each.models), added=frozenset(wanted - chosen)
    )


def _is_filtered(options: Mapping[str, JSON]) -> bool:
    return bool(options["applications"] or options.get("models"))


def _refuse_unknown(manifest: Manifest, options: Mapping[str, JSON]) -> None:
    names = [each.name for each in manifest.definitions]
    for name in (*options["applications"], *options["exclude"]):
        if not any(each.is_named([name]) for each in manifest.definitions):
            raise UsageError(f"The archive has no definition {name!r}. It has: {', '.join(names)}.")
    labels = {entry.model.lower() for each in manifest.definitions for entry in each.models}
    for label in options.get("models", ()):
        if label.lower() not in labels:
            raise UsageError(
                f"The archive has no rows of {label!r}: diskette_inspect lists its models."
            )


def _chosen(offered: Iterable[DefinitionEntry], options: Mapping[str, JSON]) -> set[str]:
    """The models named, by definition or one by one, with all that their rows consist of."""
    models = {label.lower() for label in options.get("models", ())}
    named = {
        entry.model
        for each in offered
        for entry in each.models
        if each.is_named(options["applications"]) or entry.model.lower() in models
    }
    return _closed(named, [e.model for each in offered for e in each.models], _parts)


def _closed(
    labels: Iterable[str], offered: Collection[str], follow: Callable[[str], Iterable[str]]
) -> set[str]:
    """The labels and whatever follows from them, of what the archive offers."""
    found: set[str] = set()
    waiting = list(labels)
    while waiting:
        label = waiting.pop()
        if label not in found and label in offered:
            found.add(label)
            waiting += follow(label)
    return found


def _parts(label: str) -> Iterable[str]:
    """Rows of an object in other tables: its parents', its pairs of many-to-many relations."""
    model = registry.find_model(label)
    if model is None:
        return
    yield from (parent._meta.label for parent in model._meta.parents)
    for many in model._meta.local_many_to_many:
        through = many.remote_field.through
        if through is not None and through._meta.auto_created:
            yield through._meta.label


def _references(label: str) -> Iterable[str]:
    model = registry.find_model(label)
    for reference in tables.references(model) if model is not None else ():
        yield tables.target(reference)._meta.label
