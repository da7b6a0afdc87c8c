"""The doctor: what would hurt at a load, said of the project before one is needed.

Definitions are judged without reading a row; rows by statements over whole tables; files by
comparing names. A dump says the same of what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.db.models import Model

from diskette import registry
from diskette.core.report import Finding
from diskette.data import findings, soundness, tables
from diskette.data.soundness import Table
from diskette.doctor import files
from diskette.registry import Gap, Resolution, ResolvedDefinition
from diskette.storages import Storage

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What a dump would take, and where its rows are read."""

    resolution: Resolution
    storages: Sequence[Storage] = ()
    using: Mapping[str, str] = field(default_factory=dict)
    """By database, the connection that shows it; the live one where none is named."""
    tick: Tick

    def beside(self, models: Collection[type[Model]]) -> list[Table]:
        """The tables of all other models that there are in the databases that are looked at.

        What is not dumped may be missing, or its server away: that is no reason to fail.
        """
        found = [each for each in registry.dumpable_models() if each not in models]
        databases = {registry.home(model) for model in found}
        looked_at = databases.intersection(self.using) if self.using else databases
        there = {name: tables.names(self.using.get(name, name)) for name in looked_at}
        return [
            self.table(model, home)
            for model in found
            if model._meta.db_table in there.get(home := registry.home(model), ())
        ]

    def table(self, model: type[Model], database: str, *, default_manager: bool = False) -> Table:
        using = self.using.get(database, database)
        return Table(model=model, using=using, database=database, default_manager=default_manager)


def of_definitions(resolution: Resolution, *, data_follows: bool = False) -> list[Finding]:
    """Everything that can be said without reading a row.

    `data_follows`: gaps are left to `of_data`, which knows whom they hurt.
    """
    later = [registry.of_gap(gap) for gap in resolution.gaps] if data_follows else []
    return [finding for finding in resolution.findings if finding not in later]


def of_data(patient: Patient) -> list[Finding]:
    """What only rows and files tell. A gap in the definitions is told with the rows that it hurts.

    May raise what reading the database raises.
    """
    dumped = {
        model: patient.table(model, each.database, default_manager=each.default_manager)
        for each in patient.resolution.definitions
        for model in each.models
    }
    found = [
        replace(finding, definition=each.name)
        for each in patient.resolution.definitions
        for finding in _of_definition(each, dumped, patient.tick)
    ]
    found += [_of_gap(gap, dumped) for gap in patient.resolution.gaps]
    found += _of_natural_keys(patient)
    found += _of_generic_keys(patient, dumped)
    found += _of_uncovered(patient)
    if patient.storages:
        others = patient.beside(dumped)
        found += files.of_files(list(dumped.values()), others, patient.storages, patient.tick)
    return found


def _of_definition(
    definition: ResolvedDefinition, dumped: Mapping[type[Model], Table], tick: Tick
) -> Iterator[Finding]:
    yield from soundness.unsteady(definition.models, definition.database)
    for model in definition.models:
        table = dumped[model]
        if count := soundness.hidden(table):
            yield findings.hidden_rows(model._meta.label, count, definition=definition.name)
        yield from soundness.dangling(table, dumped)
        yield from soundness.stale(table)
        tick(1)


def _of_gap(gap: Gap, dumped: Mapping[type[Model], Table]) -> Finding:
    """The gap with the rows that fall into it; as it is where there are none."""
    model, target = gap.relation.model, gap.relation.target
    references = [each for each in tables.references(model) if each.name == gap.relation.field]
    reference = next(iter(references), None)
    sample = soundness.referring(dumped[model], reference) if reference is not None else None
    if reference is None or sample is None:
        return registry.of_gap(gap)
    finding = findings.target_left_out(model, reference.name, target, sample, why=gap.why)
    return replace(finding, severity=gap.severity, hint=gap.hint, definition=gap.definition)


def _of_natural_keys(patient: Patient) -> Iterator[Finding]:
    """One for each model whose rows are written by natural keys that do not tell them apart."""
    for model, (definition, cure) in _naturally_written(patient.resolution).items():
        if sample := soundness.shared_natural_keys(patient.table(model, definition.database)):
            yield findings.shared_natural_keys(model, sample, definition=definition.name, cure=cure)
        patient.tick(0)


def _of_generic_keys(patient: Patient, dumped: Mapping[type[Model], Table]) -> Iterator[Finding]:
    """One for each generic foreign key that holds keys which its targets are written without."""
    definitions = [each for each in patient.resolution.definitions if each.natural_primary]
    keyless = [(e.name, m) for e in definitions for m in e.models if hasattr(m, "natural_key")]
    for model, table in dumped.items():
        for generic in tables.generic_references(model):
            for name, referred in keyless:
                if sample := soundness.by_generic_key(table, generic, referred):
                    yield findings.keys_left_out(model, generic.name, referred, sample, by=name)


def _naturally_written(
    resolution: Resolution,
) -> dict[type[Model], tuple[ResolvedDefinition, str]]:
    """By model, a definition that names its rows by natural key, and how it need not."""
    named: dict[type[Model], tuple[ResolvedDefinition, str]] = {}
    for each in resolution.definitions:
        if each.natural_foreign:
            cure = f"Remove 'natural_foreign' from {each.name!r}"
            for model in each.models:
                for reference in tables.natural_references(model):
                    named.setdefault(tables.concrete(reference.remote_field.model), (each, cure))
        if each.natural_primary:
            cure = f"Remove 'natural_primary' from {each.name!r}"
            named |= {m: (each, cure) for m in each.models if tables.has_natural_key(m)}
    return {model: why for model, why in named.items() if not registry.never_dumped(model)}


def _of_uncovered(patient: Patient) -> Iterator[Finding]:
    """One for each installed model with rows that no definition takes, chosen or not.

    Nor the dump itself: a safety dump takes whatever its load replaces.
    """
    everything = registry.resolve()
    held = {model for each in patient.resolution.definitions for model in each.models}
    for table in patient.beside({*everything.load_order, *held}):
        if count := soundness.count(table):
            yield findings.uncovered(
                table.model,
                count,
                database=table.database,
                excluded_by=_excluded_by(table.model, everything.definitions),
            )
        patient.tick(0)


def _excluded_by(model: type[Model], definitions: Sequence[ResolvedDefinition]) -> str:
    """The definition whose `excludes` name the model, or that of a many-to-many table's field."""
    labels = {each._meta.label for each in (model, registry.owner_of(model)) if each is not None}
    return next((each.name for each in definitions if labels.intersection(each.excludes)), "")
