"""Which models each definition takes, drains last; and everything wrong with that.

Rules of the drains are the original's: a drain takes what is not retained, that is,
neither taken nor left out by a definition that does not allow its leavings to be drained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from django.db import connections, router

from diskette.core.definition import Definition
from diskette.registry.installed import Installed, ModelType, owner_of, why_without_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one definition takes of the installed models."""

    definition: Definition
    models: frozenset[ModelType]
    named: frozenset[ModelType] = frozenset()
    """Those that have a label of their own in it."""
    left_out: frozenset[ModelType] = frozenset()
    """Models its labels mean, but that are never dumped."""
    leavings: frozenset[ModelType] = frozenset()
    """The rest of the applications it is about: what a drain may take only if allowed."""

    @property
    def name(self) -> str:
        return self.definition.name


def divide(
    definitions: Sequence[Definition], installed: Installed
) -> tuple[list[Share], list[str]]:
    """Every definition's share, drains last, and every problem found."""
    problems: list[str] = []
    plain = [each for each in definitions if not each.is_drain]
    for definition in definitions:
        problems.extend(_unknown(definition, installed))
    shares = _leave_named_tables([_take(each, installed) for each in plain])
    problems.extend(problem for share in shares for problem in _empty(share, installed))
    problems.extend(_taken_twice(shares))
    for definition in definitions:
        if definition.is_drain:
            share = _drain(definition, shares, installed)
            problems.extend(_dry(share, shares, installed))
            shares.append(share)
    problems.extend(problem for share in shares for problem in _elsewhere(share))
    return shares, problems


def _unknown(definition: Definition, installed: Installed) -> Iterator[str]:
    if definition.database not in connections:
        yield (
            f"Definition {definition.name!r}: database {definition.database!r} is not in "
            f"DATABASES. There are: {', '.join(connections)}."
        )
    known = {"models": [*installed.models, *installed.applications], "excludes": installed.models}
    for parameter, labels in known.items():
        for label in getattr(definition, parameter):
            if label not in labels:
                yield (
                    f"Definition {definition.name!r}: {label!r} in {parameter!r} is no "
                    f"{_kind(label)}. {installed.cure(label, labels)}"
                )


def _kind(label: str) -> str:
    return "installed model" if "." in label else "installed application with models"


def _take(definition: Definition, installed: Installed) -> Share:
    dumpable = installed.dumpable(_database(definition))
    named = _by_label(definition.models, installed)
    excluded = _by_label(definition.excludes, installed)
    whole = {
        model
        for label in definition.models
        for model in installed.applications.get(label, ())
        if owner_of(model) is None
    }
    meant = (named | whole) - excluded
    carried = {model for model in dumpable if owner_of(model) in meant} - excluded
    models = (meant | carried) & dumpable
    about = {model._meta.app_label for model in meant | excluded}
    return Share(
        definition=definition,
        models=frozenset(models),
        named=frozenset(named),
        left_out=frozenset(meant - models),
        leavings=frozenset(each for each in dumpable - models if each._meta.app_label in about),
    )


def _database(definition: Definition) -> str:
    """Its database, or any other one if there is no such: that is a problem told elsewhere."""
    return definition.database if definition.database in connections else "default"


def _by_label(labels: Iterable[str], installed: Installed) -> set[ModelType]:
    return {installed.models[label] for label in labels if label in installed.models}


def _leave_named_tables(shares: Sequence[Share]) -> list[Share]:
    """A many-to-many table goes with its model, unless another definition names the table."""
    left = []
    for share in shares:
        elsewhere = {model for other in shares if other is not share for model in other.named}
        given = {each for each in elsewhere - share.named if owner_of(each) is not None}
        left.append(replace(share, models=share.models - given, leavings=share.leavings - given))
    return left


def _drain(definition: Definition, shares: Sequence[Share], installed: Installed) -> Share:
    excluded = _by_label(definition.excludes, installed)
    free = {
        model
        for model in installed.dumpable(_database(definition))
        if not {model, owner_of(model)} & excluded
    }
    return Share(definition=definition, models=frozenset(free - _retained(definition, shares)))


def _retained(drain: Definition, shares: Iterable[Share]) -> set[ModelType]:
    retained: set[ModelType] = set()
    for share in shares:
        retained |= share.models
        if not (drain.drain_excluded and share.definition.allow_drain):
            retained |= share.leavings
    return retained


def _empty(share: Share, installed: Installed) -> Iterator[str]:
    """Excludes have left nothing; labels of models that are never dumped are no mistake."""
    definition = share.definition
    known = installed.models.keys() | installed.applications.keys()
    if not share.models and not share.left_out and known.issuperset(definition.models):
        yield (
            f"Definition {share.name!r}: 'excludes' leaves nothing of "
            f"{_quoted(definition.models)}. Shorten it or remove the definition."
        )


def _dry(drain: Share, shares: Sequence[Share], installed: Installed) -> Iterator[str]:
    if drain.models:
        return
    dumpable = installed.dumpable(_database(drain.definition))
    taken = {model for share in shares for model in share.models} & dumpable
    kept = (_retained(drain.definition, shares) & dumpable) - taken
    reason = f"{len(taken)} of {len(dumpable)} models are in other definitions"
    cure = "Remove the drain."
    if kept:
        keepers = [share.name for share in shares if share.leavings & kept]
        reason += f", {len(kept)} are left out by {_quoted(keepers)}, which keep them from it"
        cure = "Remove the drain, or set its 'drain_excluded' and their 'allow_drain' to True."
    if drain.definition.excludes:
        reason += f", and its own 'excludes' leave out {_quoted(drain.definition.excludes)}"
    yield f"Definition {drain.name!r}: nothing is left for this drain: {reason}. {cure}"


def _taken_twice(shares: Sequence[Share]) -> Iterator[str]:
    for one, other in combinations(shares, 2):
        both = one.models & other.models
        shown = {model for model in both if owner_of(model) not in both}
        if labels := sorted(model._meta.label for model in shown):
            yield (
                f"Definitions {one.name!r} and {other.name!r} both include {', '.join(labels)}. "
                f"Keep each model in one of them; 'excludes' leaves it out of the other."
            )


def _elsewhere(share: Share) -> Iterator[str]:
    """The labels mean models that the router keeps in another database."""
    alias = _database(share.definition)
    for model in sorted(share.left_out, key=lambda each: each._meta.label):
        if not why_without_rows(model) and not router.allow_migrate_model(alias, model):
            places = [each for each in connections if router.allow_migrate_model(each, model)]
            cure = f"Give it a definition with 'database': {places[0]!r}." if places else ""
            yield (
                f"Definition {share.name!r}: the router keeps {model._meta.label} out of database "
                f"{alias!r}. {cure or 'Exclude it.'}"
            )


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(repr(word) for word in words)
