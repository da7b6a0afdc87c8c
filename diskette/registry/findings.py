"""What a user should know of definitions that can be used as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from diskette.core.report import Finding, Severity
from diskette.registry.installed import (
    all_models,
    home,
    is_made_by_migrate,
    never_dumped,
    owner_of,
    why_left_out,
    why_without_rows,
)
from diskette.registry.relations import Need, Relation, relations
from diskette.registry.shares import Share


def of_order(
    configured: Sequence[str],
    arranged: Sequence[str],
    needs: Mapping[str, Mapping[str, Relation]],
) -> Iterator[Finding]:
    """One for each definition that had to move behind another one; most are plugins of it."""
    was = {name: place for place, name in enumerate(configured)}
    now = {name: place for place, name in enumerate(arranged)}
    for name in arranged:
        for needed, relation in needs.get(name, {}).items():
            if was[name] < was[needed] and now[needed] < now[name]:
                yield _on(
                    relation,
                    Finding(
                        code="plugin-before-parent" if relation.need is Need.PARENT else "order",
                        severity=Severity.WARNING,
                        definition=name,
                        message=f"Definition {name!r} comes after {needed!r}, not before it: "
                        f"{relation.why}.",
                        hint=f"Move {needed!r} before {name!r} in DISKETTE_APPS.",
                    ),
                )


def of_drains(
    shares: Sequence[Share], needs: Mapping[str, Mapping[str, Relation]]
) -> Iterator[Finding]:
    """One for each definition that needs what only a drain takes, for drains come last."""
    drains = [share.name for share in shares if share.definition.is_drain]
    for name in (share.name for share in shares if share.name not in drains):
        for drain in (each for each in drains if each in needs.get(name, {})):
            relation = needs[name][drain]
            yield _on(
                relation,
                Finding(
                    code="order",
                    severity=Severity.INFO,
                    definition=name,
                    message=f"Definition {name!r} comes before drain {drain!r}, though "
                    f"{relation.why}. A load checks all at once, so both load.",
                    hint=f"To load files by hand, one by one, give "
                    f"{relation.target._meta.label} a definition before {name!r}.",
                ),
            )


def of_left_out(applications: Collection[str]) -> Iterator[Finding]:
    """One for all models of these applications that have no rows of their own to dump."""
    named = [
        f"{model._meta.label} ({reason})"
        for model in all_models()
        if model._meta.app_label in applications and owner_of(model) is None
        if not never_dumped(model) and (reason := why_left_out(model, home(model)))
    ]
    if named:
        yield Finding(
            code="left-out",
            severity=Severity.INFO,
            message=f"Left out: {', '.join(named)}.",
            hint="Back up unmanaged tables by their own means; the others have no rows.",
            count=len(named),
        )


def of_never_dumped(share: Share) -> Iterator[Finding]:
    models = sorted(filter(never_dumped, share.left_out), key=lambda model: model._meta.label)
    if models:
        named = ", ".join(f"{each._meta.label} ({why_without_rows(each)})" for each in models)
        yield Finding(
            code="never-dumped",
            severity=Severity.INFO,
            message=f"Definition {share.name!r} means models that are never dumped: {named}.",
            hint="Nothing needs to be done; excludes or a shorter list of models says the same.",
            definition=share.name,
            count=len(models),
        )


def of_dump_command(share: Share) -> Iterator[Finding]:
    if command := share.definition.dump_command:
        yield Finding(
            code="dump-command",
            severity=Severity.INFO,
            message=f"Definition {share.name!r}: dump_command {command!r} is not run. Rows are "
            "read table by table, so polymorphic models need no command of their own.",
            hint="Remove 'dump_command'.",
            definition=share.name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A foreign key whose target is not in the archive."""

    definition: str
    relation: Relation
    why: str
    """Completes "the target, which …"."""
    hint: str
    severity: Severity


def gaps(chosen: Sequence[Share], everything: Sequence[Share]) -> Iterator[Gap]:
    covered = {model for share in chosen for model in share.models}
    for share in chosen:
        for relation in _foreign_keys(share):
            if relation.target not in covered and not is_made_by_migrate(relation.target):
                yield _gap(share, relation, everything)


def of_gap(gap: Gap) -> Finding:
    return _on(
        gap.relation,
        Finding(
            code="excluded-target",
            severity=gap.severity,
            definition=gap.definition,
            message=f"{gap.relation.why}, which {gap.why}: a load where those rows are missing "
            "ends with 'Integrity error: ForeignKey missing'.",
            hint=gap.hint,
        ),
    )


def of_natural_primary(chosen: Sequence[Share]) -> Iterator[Finding]:
    """One for each foreign key that keeps a key its target is written without."""
    keyless = {
        model: share.name
        for share in chosen
        if share.definition.natural_primary
        for model in share.models
        if hasattr(model, "natural_key")
    }
    for share in chosen:
        for relation in _foreign_keys(share):
            by_key = relation.need is Need.PARENT or not share.definition.natural_foreign
            if by_key and relation.target in keyless:
                yield _pointing_nowhere(share, relation, keyless[relation.target])


def _foreign_keys(share: Share) -> Iterator[Relation]:
    for model in sorted(share.models, key=lambda each: each._meta.label):
        yield from (each for each in relations(model) if each.field)


def _gap(share: Share, relation: Relation, everything: Sequence[Share]) -> Gap:
    target, label = relation.target, relation.target._meta.label
    holder = next((each.name for each in everything if target in each.models), None)
    excluder = next((each.name for each in everything if label in each.definition.excludes), None)
    if holder:
        why, hint = f"is in definition {holder!r}, not chosen here", f"Choose {holder!r} too."
    elif left_out := why_left_out(target, share.definition.database):
        why, hint = f"is never dumped ({left_out})", "Load only where those rows are."
    elif excluder:
        why = f"is excluded by definition {excluder!r}"
        hint = (
            f"Remove {label!r} from the 'excludes' of {excluder!r}, or load only where those rows "
            "are."
        )
    else:
        why = "is in no definition"
        hint = f"Add {label!r} to the 'models' of {share.name!r} or of another definition."
    return Gap(
        definition=share.name,
        relation=relation,
        why=why,
        hint=hint,
        severity=Severity.INFO if holder else Severity.WARNING,
    )


def _pointing_nowhere(share: Share, relation: Relation, keyless_in: str) -> Finding:
    label = relation.target._meta.label
    cure = f"Remove 'natural_primary' from {keyless_in!r}"
    if relation.need is not Need.PARENT:
        cure += f", or set 'natural_foreign': True in {share.name!r}"
    return _on(
        relation,
        Finding(
            code="natural-primary",
            severity=Severity.ERROR,
            definition=share.name,
            message=f"Definition {keyless_in!r} writes {label} without its keys (natural_primary), "
            f"but {relation.why} by key: loaded elsewhere, it points at another row.",
            hint=f"{cure}.",
        ),
    )


def _on(relation: Relation, finding: Finding) -> Finding:
    return replace(
        finding,
        model=relation.model._meta.label,
        field=relation.field or None,
        target=relation.target._meta.label,
    )
