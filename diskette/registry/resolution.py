"""DISKETTE_APPS, resolved: definitions with their models, in the order that loads."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from django.apps import apps
from django.db import router

from diskette import conf
from diskette.core.definition import Definition, default_filename
from diskette.core.exceptions import ConfigurationError, UsageError
from diskette.core.report import Finding
from diskette.registry import findings
from diskette.registry.findings import Gap
from diskette.registry.installed import Installed, ModelType, dumpable_models, home
from diskette.registry.relations import (
    Relation,
    arrange_owners,
    graph,
    load_order,
    owners_graph,
)
from diskette.registry.shares import Share, divide


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedDefinition:
    """A definition whose labels became models."""

    name: str
    database: str
    models: tuple[ModelType, ...]
    """In load order."""
    natural_foreign: bool
    natural_primary: bool
    default_manager: bool
    """Read through the default manager, because use_base_manager says False."""
    comments: str
    filename: str
    excludes: tuple[str, ...]
    """Labels, as the user wrote them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Every definition of a run."""

    definitions: tuple[ResolvedDefinition, ...]
    """In the order that loads, drains last; those without a model to dump are not here."""
    load_order: tuple[ModelType, ...]
    """The models of all definitions, referenced ones first."""
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...] = ()
    """What the findings `excluded-target` are about."""


def resolve(only: Sequence[str] = ()) -> Resolution:
    """Resolve the settings, or what is installed where they say nothing.

    `only` chooses definitions by name. Raises ConfigurationError with every problem of
    every definition, chosen or not, and UsageError for a name that no definition has.
    """
    asked_of = repr((conf.applications(), conf.database_aliases(), router.routers))
    return _resolve(asked_of, tuple(apps.app_configs), tuple(only))


@lru_cache
def _resolve(asked_of: str, installed_apps: Sequence[str], only: Sequence[str]) -> Resolution:  # noqa: ARG001
    """Every step of a run asks; the answer is the same as long as the settings are."""
    definitions, problems = _definitions()
    installed = Installed()
    shares, more = divide(definitions, installed)
    if problems + more:
        raise ConfigurationError(*problems, *more)
    chosen = _chosen(shares, only)
    about = installed.applications if conf.applications() is None else _applications(chosen)
    return _resolution(chosen, shares, about)


def unabridged(resolution: Resolution, more: Collection[tuple[ModelType, str]]) -> Resolution:
    """All rows of all that is defined, by their keys, and of these models in their databases.

    For who wants to have back just what is there.
    """
    whole = [
        replace(each, natural_foreign=False, natural_primary=False, default_manager=False)
        for each in resolution.definitions
    ]
    order = load_order({*resolution.load_order, *(model for model, _ in more)})
    for database in sorted({alias for _, alias in more}):
        models = tuple(model for model in order if (model, database) in more)
        whole.append(_undefined(models, database))
    return replace(resolution, definitions=tuple(whole), load_order=order)


def _undefined(models: tuple[ModelType, ...], database: str) -> ResolvedDefinition:
    name = f"not in DISKETTE_APPS ({database})"
    return ResolvedDefinition(
        name=name,
        database=database,
        models=models,
        natural_foreign=False,
        natural_primary=False,
        default_manager=False,
        comments="",
        filename=default_filename(name),
        excludes=(),
    )


def made_from_installed() -> tuple[Definition, ...]:
    """Definitions for a project that has none: one per application and database.

    Named by the application's python path, in load order, with every model that has rows
    to dump named one by one.
    """
    owners = {model: (model._meta.app_label, home(model)) for model in dumpable_models()}
    order = load_order(owners)
    places = dict.fromkeys(owners.values())
    made = []
    for label, alias in arrange_owners(places, owners_graph(owners, graph(owners))):
        config = apps.get_app_config(label)
        alone = [app for app, _ in places].count(label) == 1
        name = config.name if alone else f"{config.name}@{alias}"
        made.append(
            Definition(
                name=name,
                database=alias,
                models=tuple(m._meta.label for m in order if owners[m] == (label, alias)),
                comments=str(config.verbose_name),
                filename=default_filename(name),
            )
        )
    return tuple(made)


def _definitions() -> tuple[list[Definition], list[str]]:
    entries = conf.applications()
    if entries is None:
        return list(made_from_installed()), []
    definitions: list[Definition] = []
    problems: list[str] = []
    for entry in entries:
        try:
            definitions.append(Definition.from_setting(entry))
        except ConfigurationError as error:
            problems.extend(error.problems)
    problems.extend(_same_name(definitions))
    problems.extend(_same_filename(definitions))
    return definitions, problems


def _same_name(definitions: Sequence[Definition]) -> Iterator[str]:
    for name, count in Counter(each.name for each in definitions).items():
        if count > 1:
            yield (
                f"Definition {name!r}: {count} definitions have this name. Give each its own, "
                "it is what results and --app know it by."
            )


def _same_filename(definitions: Sequence[Definition]) -> Iterator[str]:
    for filename in dict.fromkeys(each.filename for each in definitions):
        names = dict.fromkeys(each.name for each in definitions if each.filename == filename)
        if len(names) > 1:
            yield (
                f"Definitions {' and '.join(repr(name) for name in names)} have one file name, "
                f"{filename!r}. Set 'filename' in one of them."
            )


def _chosen(shares: Sequence[Share], only: Sequence[str]) -> list[Share]:
    names = [share.name for share in shares]
    if unknown := [name for name in only if name not in names]:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
        missing = ", ".join(repr(name) for name in unknown)
        raise UsageError(f"No definition is named {missing}. {cure}")
    return [share for share in shares if not only or share.name in only]


def _applications(shares: Sequence[Share]) -> set[str]:
    return {model._meta.app_label for share in shares for model in share.models | share.left_out}


def _resolution(
    chosen: Sequence[Share], everything: Sequence[Share], about: Collection[str]
) -> Resolution:
    owners = {model: share.name for share in chosen for model in share.models}
    order = load_order(owners)
    needs = owners_graph(owners, graph(owners))
    names = _arranged(chosen, needs)
    by_name = {share.name: share for share in chosen}
    gaps = tuple(findings.gaps(chosen, everything))
    return Resolution(
        definitions=tuple(_resolved(by_name[name], order) for name in names),
        load_order=order,
        gaps=gaps,
        findings=(
            *findings.of_order(list(by_name), names, needs),
            *findings.of_drains(chosen, needs),
            *map(findings.of_gap, gaps),
            *findings.of_natural_primary(chosen),
            *(each for share in chosen for each in findings.of_dump_command(share)),
            *(each for share in chosen for each in findings.of_never_dumped(share)),
            *findings.of_left_out(about),
        ),
    )


def _arranged(shares: Sequence[Share], needs: Mapping[str, Mapping[str, Relation]]) -> list[str]:
    """Names of the definitions that have models, in the order that loads; drains last."""
    full = [share for share in shares if share.models]
    drains = [share.name for share in full if share.definition.is_drain]
    plain = [share.name for share in full if not share.definition.is_drain]
    return [*arrange_owners(plain, needs), *arrange_owners(drains, needs)]


def _resolved(share: Share, order: Sequence[ModelType]) -> ResolvedDefinition:
    definition = share.definition
    return ResolvedDefinition(
        name=definition.name,
        database=definition.database,
        models=tuple(model for model in order if model in share.models),
        natural_foreign=definition.natural_foreign,
        natural_primary=definition.natural_primary,
        default_manager=definition.use_base_manager is False,
        comments=definition.comments,
        filename=definition.filename,
        excludes=definition.excludes,
    )
