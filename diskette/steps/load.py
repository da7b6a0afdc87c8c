"""The steps of a load, in the order of diskette.core.plan."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from diskette import conf, fetch, registry, storages
from diskette.core import plan
from diskette.core.archive import ArchiveReader, Survey
from diskette.core.checksum import BLAKE2B_DIGITS, blake2b_of, digest_of
from diskette.core.exceptions import (
    ChecksumMismatch,
    ConfigurationError,
    DisketteError,
    FindingsError,
    ForeignArchive,
    InsufficientSpace,
    RunFailed,
    Stopped,
    UsageError,
)
from diskette.core.files import is_gzip
from diskette.core.lazy import Lazy
from diskette.core.logs import logger_of
from diskette.core.manifest import DefinitionEntry, Manifest, ModelEntry, StorageEntry
from diskette.core.plan import Kind, State
from diskette.core.report import JSON, Finding, PlannedStep, Severity, StepReport
from diskette.core.space import Need, by_place, require, taken_by, taken_in
from diskette.models import Now, Run, Step
from diskette.steps import dump, proofs, salvage, target
from diskette.steps.alone import alone
from diskette.steps.context import Context, most_used
from diskette.steps.selection import Selection, select

if TYPE_CHECKING:
    from diskette import original
    from diskette.data import apply as data_apply
    from diskette.data import findings as data_findings
    from diskette.data import integrity, room, sessions, stage, tables, verify
    from diskette.data.engines import scratch_places
    from diskette.data.stage import Staging
    from diskette.doctor import archives, versions
    from diskette.steps import carry
else:
    archives = Lazy("diskette.doctor.archives")
    carry = Lazy("diskette.steps.carry")
    original = Lazy("diskette.original")
    data_apply = Lazy("diskette.data.apply")
    data_findings = Lazy("diskette.data.findings")
    integrity = Lazy("diskette.data.integrity")
    room = Lazy("diskette.data.room")
    scratch_places = Lazy("diskette.data.engines.scratch_places")
    sessions = Lazy("diskette.data.sessions")
    stage = Lazy("diskette.data.stage")
    tables = Lazy("diskette.data.tables")
    verify = Lazy("diskette.data.verify")
    versions = Lazy("diskette.doctor.versions")

logger = logger_of(__name__)

STALE = ("stale-contenttype", "stale-permission")


def fetch_archive(context: Context) -> StepReport:
    """Find or download the archive, read its manifest, and plan the rest."""
    fetched, digest = _fetched(context)
    _require_checksum(fetched, digest, context)
    path, found = _converted(_held(fetched, context), context)
    manifest = _opened(path, context)
    definitions = _definitions(manifest, context)
    trees = manifest.storages if context.options["storages"] else ()
    if not definitions and not trees:
        raise UsageError(
            f"{fetched.name} holds nothing of that: diskette_inspect lists what it holds."
        )
    stranger = _other_environment(fetched, manifest, context)
    if not context.options["check"]:
        _refuse(stranger)
        _refuse_inside(fetched, [target.live_path(context, each.name) for each in trees])
    word = context.options["archive"]
    shown = fetch.without_secrets(word) if fetch.is_url(word) else str(fetched)
    Run.objects.using(conf.database()).filter(pk=context.run.pk).update(archive=shown)
    return StepReport(
        stats={"bytes": fetched.stat().st_size, "rows": manifest.rows, "files": manifest.files},
        findings=[*found, *stranger],
        output={
            "path": str(path),
            "databases": sorted({versions.database_of(each) for each in definitions}),
        },
        then=_rest(context, [each.name for each in definitions], [each.name for each in trees]),
    )


def _rest(
    context: Context, definitions: Sequence[str], trees: Sequence[str]
) -> Sequence[PlannedStep]:
    if target.is_scratch(context):
        checked = bool(context.options["drill_check"])
        return plan.drill_plan(definitions, trees, checked=checked)
    return plan.load_plan(
        definitions,
        trees,
        check_only=context.options["check"],
        safety=context.options["safety"],
    )


def check_space(context: Context) -> StepReport:
    """Refuse before work what would fill a disk in the middle of it."""
    phases = list(_needs(context))
    require(*phases)
    needed, taken = by_place(*phases), _taken(context)
    return StepReport(stats={"needed_bytes": needed}, output={"needed": needed, "taken": taken})


def verify_archive(context: Context) -> StepReport:
    """Read every byte of the archive and compare each member with its digest.

    What is damaged ends the load; or, in a salvage, is left out of it, and told.
    """
    path = _path(context)
    size = path.stat().st_size
    context.expect(size, "bytes")
    with ArchiveReader(path) as reader:
        survey = reader.survey(context.tick, digested=False)
        if survey.findings:
            return _salvaged(reader, survey, context)
    return StepReport(stats={"bytes": size})


def _salvaged(reader: ArchiveReader, survey: Survey, context: Context) -> StepReport:
    saved = _saved(reader, survey, context)
    trees = [entry.tree.name for entry in reader.manifest.storages]
    return StepReport(
        stats={"bytes": reader.size},
        findings=[*saved.findings, *_files_lost(reader, survey, context)],
        output={
            "left_out": list(saved.left_out),
            "damaged_trees": [name for name in trees if name not in survey.whole],
            "places": dict(survey.places),
        },
    )


def _saved(reader: ArchiveReader, survey: Survey, context: Context) -> salvage.Salvage:
    """What a salvage leaves out. Raises FindingsError where none is wanted, or nothing is left."""
    if not context.options.get("salvage"):
        raise FindingsError(salvage.refused(survey.findings, archives.DAMAGED))
    manifest, trees = reader.manifest, _trees(reader.manifest, context)
    saved = salvage.of_damage(reader, survey, _models(manifest, context), trees)
    chosen = select(manifest, context.options, saved.left_out)
    if not chosen.definitions and all(tree.index.name in saved.left_out for tree in trees):
        raise FindingsError(salvage.nothing_whole(survey.findings))
    return saved


def _files_lost(reader: ArchiveReader, survey: Survey, context: Context) -> Iterable[Finding]:
    """Told here by a check, which unpacks nothing."""
    if not context.options["check"]:
        return ()
    trees = _trees(reader.manifest, context)
    return salvage.files_lost(reader, survey, trees, lambda _: context.tick(0))


def extract_archive(context: Context) -> StepReport:
    """Take the rows and the indices out of the archive; trees are read where they lie.

    What an index lists that must not be unpacked ends the load here, before anything is.
    """
    manifest = _manifest(context)
    trees = _trees(manifest, context)
    names = [entry.member.name for entry in _models(manifest, context)]
    names += [tree.index.name for tree in trees]
    sizes = {member.name: member.bytes for member in manifest.members}
    context.expect(sum(sizes[name] for name in names), "bytes")
    directory = context.workspace.path / f"archive.{context.step.token}"
    with ArchiveReader(_path(context)) as reader:
        found = reader.extract(names, directory, context.tick, _survey(context).get("places"))
    for tree in trees:
        storages.check(tree, found[tree.index.name], tick=context.tick)
    return StepReport(
        stats={"members": len(names), "bytes": sum(sizes[name] for name in names)},
        output={"directory": str(directory)},
    )


def check_compatibility(context: Context) -> StepReport:
    """Compare the archive's models, fields and migrations with this project's, and make room.

    What is wrong is refused by check_integrity, with all that is wrong besides; here only where
    the tables themselves are not what the models say, so that nothing more can be asked.
    """
    manifest = _manifest(context)
    entries = _models(manifest, context)
    if not entries:
        return StepReport(stats={"models": 0})
    definitions = _definitions(manifest, context)
    ignored = context.options["ignore_nonexistent"]
    meeting = versions.meeting(manifest, definitions, ignored=ignored)
    beside = [target.alias(context, each) for each in meeting.databases]
    # Rows that a salvage has lost would be missed by the migrations that look at them.
    is_whole = not _left_out(context)
    verdict = versions.judge(replace(meeting, databases=beside), may_carry=is_whole)
    findings = verdict.findings
    if verdict.is_final:
        _refuse(findings)
    if verdict.carried:
        return StepReport(
            stats={"models": len(entries)},
            findings=findings,
            output={"carried": list(verdict.carried)},
            then=[plan.carry_forward(Kind(context.run.kind))],
        )
    _make_room(context)
    return StepReport(stats={"models": len(entries)}, findings=findings)


def carry_forward(context: Context) -> StepReport:
    """Put the rows into a scratch database of their own state, migrate it, and take them out.

    What comes out is what the rest of the load reads in place of the archive's members.
    """
    return take_carried(context, *carried_rows(context))


def carried_rows(context: Context) -> tuple[Mapping[str, JSON], list[Finding]]:
    """Where they lie, and what is to be told of them."""
    labels = context.output("check_compatibility")["carried"]
    return carry.carry(context, _path(context), labels)


def take_carried(
    context: Context, output: Mapping[str, JSON], findings: Sequence[Finding]
) -> StepReport:
    """Make room for them."""
    _make_room(context, output)
    rows = carry.read(output["directory"]).rows
    return StepReport(stats={"rows": rows}, findings=findings, output=output)


def _make_room(context: Context, carried: Mapping[str, JSON] | None = None) -> None:
    """`carried`: what carry_forward leaves, where it is not stored yet."""
    for staging, models in _by_database(context, carried).items():
        context.confirm()
        staging.drop()
        staging.create(models)


def load_application(context: Context) -> StepReport:
    """Read one definition's rows into staging; nothing live is touched."""
    definition = next(
        (d for d in _definitions(_manifest(context), context) if d.name == context.subject), None
    )
    if definition is None:
        return _nothing_left() if _carried(context) else _nothing_whole()
    context.expect(sum(entry.rows for entry in definition.models), "rows")
    staging = _staging(context, target.alias(context, versions.database_of(definition)))
    rows = 0
    findings: list[Finding] = []
    for entry in definition.models:
        model = versions.target(entry)
        if model is None:
            continue  # check_compatibility has said so, and the user chose to go on
        loaded = staging.load(
            model,
            _member(context, entry),
            entry,
            ignore_unknown=context.options["ignore_nonexistent"],
            tick=context.tick,
        )
        rows += loaded.rows
        findings += loaded.findings
    return StepReport(stats={"models": len(definition.models), "rows": rows}, findings=findings)


def check_integrity(context: Context) -> StepReport:
    """Find every problem of the staged rows with themselves and with what stays in the database."""
    manifest = _manifest(context)
    entries = _models(manifest, context)
    found: list[Finding] = []
    for staging, models in _by_database(context).items():
        found += integrity.check(
            staging,
            models,
            mode=context.options["mode"],
            drop_stale=bool(context.options.get("drop_stale")),
        )
        context.tick(0)
    left_out = _models_left_out(context)
    found = [salvage.explained(each, left_out) for each in found]
    if manifest.is_of_original:
        found = [data_findings.keys_assumed(each) for each in found]
    _refuse([*_found_before(context), *found])
    dropped = sorted({each.model for each in found if each.code in STALE and each.model})
    return StepReport(
        stats={"models": len(entries)},
        findings=found,
        output={"dropped": dropped, "used": _taken_since(context)},
    )


def stage_storage(context: Context) -> StepReport:
    """Unpack one storage beside its live tree, checking each file."""
    entry, live = _tree(context, context.subject)
    survey = _survey(context)
    if entry.index.name in survey.get("left_out", ()):
        return _nothing_whole()
    index, run, loss = _extracted(context) / entry.index.name, str(context.run.pk), storages.Loss()
    context.expect(entry.raw_bytes, "bytes")
    with ArchiveReader(_path(context)) as reader:
        tree, taken = reader.content(entry.tree.name, survey.get("places")), 0
        how: dict[str, Any] = {"tick": context.tick, "fence": context.confirm}
        if entry.tree.name in survey.get("damaged_trees", ()):
            loss = storages.salvage(entry, tree, index, live, run, **how)
        else:
            merging = is_merging(context.run)
            taken = storages.stage(entry, tree, index, live, run, merging=merging, **how).taken
    place = "workspace" if target.is_scratch(context) else "media"
    return StepReport(
        stats={"files": entry.files - loss.count, "bytes": entry.raw_bytes},
        findings=list(salvage.of_files(entry, loss)),
        output={"live": str(live), "lost": loss.count, "used": {place: taken}},
    )


def safety_dump(context: Context) -> StepReport:
    """Dump what is about to be replaced, as an archive of its own."""
    wanted = _safety(context)
    if not wanted["data"] and not wanted["storages"]:
        return StepReport(skipped=True, stats={"reason": "nothing is there yet to be kept"})
    child = context.nested(wanted, dump.plan_of(wanted))
    context.tick(0)
    if child.state != State.SUCCEEDED:
        raise FindingsError(_unsafe(child))
    return StepReport(
        stats={
            "rows": child.stats["rows"],
            "bytes": child.stats["bytes"],
            "archive": Path(child.archive).name,
        },
        output={"archive": child.archive},
    )


def _unsafe(child: Run) -> list[Finding]:
    """That the safety dump could not be made, and why."""
    errors = [each for each in child.all_findings if each.severity is Severity.ERROR]
    why = errors[0].message if errors else f"it {child.state}"
    error = RunFailed(str(child.pk), f"the safety dump could not be made: {why}")
    hint = (errors[0].hint if errors else "") or (
        f"`manage.py diskette_status {child.pk}` shows it; --no-safety-dump loads without."
    )
    told = Finding(code=error.code, severity=Severity.ERROR, message=str(error), hint=hint)
    return [told, *errors]


def apply(context: Context) -> StepReport:
    """Replace the rows in one transaction that also marks the run; then swap the storages.

    Before the commit nothing has happened, after it all has: a repetition finds the mark and
    only goes on with the swap.
    """
    entries = _models(_manifest(context), context)
    context.expect(sum(entry.rows for entry in entries), "rows")
    lives, used = [live for _, live in _live_trees(context)], {}
    if not _is_applied(context.run):
        for live in lives:
            storages.require_staged(live, str(context.run.pk))
        used = _apply_data(context)
    # Two that rename at once would put the new tree aside as if it were the old one.
    with alone(context, "swap"):
        for live in lives:
            storages.swap(live, str(context.run.pk))
    return StepReport(stats={"models": len(entries), "storages": len(lives)}, output={"used": used})


def verify_load(context: Context) -> StepReport:
    """Digest the live rows again and compare them with the manifest."""
    whole = _selection(_manifest(context), context).whole
    context.expect(sum(entry.rows for _, entry in whole), "rows")
    found: list[Finding] = []
    dropped = context.output("check_integrity").get("dropped", ()) if whole else ()
    of_other_fields: list[str] = []
    for definition, entry in whole:
        model = versions.target(entry)
        if model is not None and not tables.has_fields(model, entry.fields):
            of_other_fields.append(entry.model)
        elif entry.model not in dropped and model is not None:
            found += _compared(entry, model, versions.database_of(definition), context)
    _refuse(found)
    stats: dict[str, int | str] = {"models": len(whole) - len(of_other_fields) - len(dropped)}
    notes = [f"{', '.join(of_other_fields)} not compared: its fields differ here"]
    notes = notes if of_other_fields else []
    if dropped:
        notes.append(f"{', '.join(dropped)} not compared: stale links were dropped")
    if notes:
        stats["note"] = "; ".join(notes)
    return StepReport(stats=stats, output={"incomparable": of_other_fields})


def _compared(
    entry: ModelEntry, model: registry.ModelType, database: str, context: Context
) -> list[Finding]:
    """How the live rows differ from the archive's; after a merge, those of its keys."""
    member, using = _member(context, entry), target.alias(context, database)
    if context.options["mode"] != "merge":
        return verify.verify(entry, member, using=using, tick=context.tick)
    staging = _staging(context, using)
    with staging.engine.explained(), staging.engine.opened(writing=False):
        rows = staging.became(model)
        return verify.verify(entry, member, using=using, condition=rows, tick=context.tick)


def prove_files(context: Context) -> None:
    """Read every unpacked file again. Raises ChecksumMismatch or StorageError."""
    for entry, live in _live_trees(context):
        index = _extracted(context) / entry.index.name
        storages.prove(entry, index, live, tick=lambda _: context.tick(0))


def finish(context: Context) -> StepReport:
    """Let the old trees go, and sum up."""
    for _, live in _live_trees(context):
        storages.settle(live, str(context.run.pk), merging=is_merging(context.run))
    manifest = _manifest(context)
    lost = sum(each.get("lost", 0) for each in context.outputs("stage_storage").values())
    stats = {
        "rows": sum(entry.rows for _, entry in _selection(manifest, context).whole),
        "files": sum(entry.files for entry in _trees(manifest, context)) - lost,
        "seconds": round((timezone.now() - context.run.created_at).total_seconds(), 3),
    }
    Run.objects.using(conf.database()).filter(pk=context.run.pk).update(stats=stats)
    if _proves(context):
        proofs.record(Path(context.run.archive))
    return StepReport(stats=context.room())


def is_merging(run: Run) -> bool:
    """Whether files that are live and not in the archive stay."""
    return bool(run.options.get("merge_storages")) or run.options.get("mode") == "merge"


def _safety(context: Context) -> dict[str, JSON]:
    """What of what is there is dumped before it is replaced."""
    besides = _undefined(context)
    return dump.options(
        data=bool(besides) or (bool(_models(_manifest(context), context)) and dump.has_rows()),
        storages=any(live.is_dir() for _, live in _live_trees(context)),
        label=f"{conf.label()}-safety",
        purpose="safety",
        besides=besides,
    )


def _undefined(context: Context) -> list[tuple[str, str]]:
    """Models with rows that the load replaces and that no definition here takes."""
    covered = {(m, each.database) for each in registry.resolve().definitions for m in each.models}
    homes = [
        (versions.target(entry), versions.database_of(definition))
        for definition, entry in _selection(_manifest(context), context).whole
    ]
    return [
        (model._meta.label, home)
        for model, home in homes
        if model is not None and (model, home) not in covered
        if QuerySet(model, using=home).exists()
    ]


def _proves(context: Context) -> bool:
    """Whether all that the archive holds was restored, and compared with it."""
    options, verified = context.options, context.outputs("verify_load").get("", {})
    is_partial = any(options.get(each) for each in ("applications", "models", "exclude"))
    is_partial |= not (options["data"] and options["storages"]) or options["mode"] == "merge"
    is_tolerant = bool(options["ignore_nonexistent"] or options.get("drop_stale"))
    is_tolerant |= bool(_survey(context))
    is_compared = verified.get("incomparable") == []
    return is_compared and not (is_partial or is_tolerant or fetch.is_url(context.run.archive))


def _fetched(context: Context) -> tuple[Path, str]:
    word = context.options["archive"]
    if not fetch.is_url(word):
        return Path(fetch.named(word)), ""
    path = context.workspace.path / f"downloaded.{context.step.token}.tar"
    return path, fetch.download(word, path, context.tick)


def _held(found: Path, context: Context) -> Path:
    """Another name of a drill's archive, so that none who prunes meanwhile takes it away."""
    if not target.is_scratch(context):
        return found
    held = context.workspace.path / f"archive.{context.step.token}.tar"
    try:
        held.hardlink_to(found)
    except OSError:
        return found  # another filesystem, another's file: it is read where it lies
    return held


def _opened(path: Path, context: Context) -> Manifest:
    """The manifest. Raises ArchiveError; in a salvage, too, for without one nothing is known."""
    try:
        with ArchiveReader(path) as reader:
            return reader.manifest
    except ForeignArchive as error:
        if not context.options.get("salvage"):
            raise
        why = f"{error.why} Its manifest cannot be read, {salvage.BY_HAND}"
        raise ForeignArchive(path.name, why) from error


def _require_checksum(path: Path, digest: str, context: Context) -> None:
    """`digest`: the SHA-256, where it is known already."""
    promised = context.options["checksum"]
    if not promised:
        return
    if len(promised) == BLAKE2B_DIGITS:
        digest = blake2b_of(path, context.tick)
    found = digest or digest_of(path, context.tick).hex
    if found != promised.lower():
        raise ChecksumMismatch(path.name, "the archive as a whole", promised, found)


def _converted(path: Path, context: Context) -> tuple[Path, Sequence[Finding]]:
    """An archive that can be read: of one of the original Diskette's, a copy made in our form."""
    if not is_gzip(path):
        return path, ()
    context.expect(2 * path.stat().st_size, "bytes")
    converted = original.convert(
        path,
        context.workspace.path / f"original.{context.step.token}",
        data=context.options["data"],
        storages=context.options["storages"],
        tick=context.tick,
    )
    return converted.path, converted.findings


def _other_environment(archive: Path, manifest: Manifest, context: Context) -> list[Finding]:
    """Whether an archive of staging is about to be production, or the reverse, unasked."""
    here, there = conf.environment(), manifest.environment
    is_meant = context.options.get("into") == here or target.is_scratch(context)
    if is_meant or not here or not there or here == there:
        return []
    return [
        Finding(
            code="other-environment",
            severity=Severity.ERROR,
            message=f"{archive.name} was made in {there!r}, and this is {here!r}.",
            hint="Nothing was changed. If that is what you want, name the environment that it is "
            f"to be loaded into: --into {shlex.quote(here)}.",
        )
    ]


def _refuse_inside(archive: Path, replaced: Sequence[Path]) -> None:
    """An archive must outlive the load of it."""
    for live in replaced:
        if archive.resolve().is_relative_to(live.resolve()):
            raise UsageError(
                f"{archive} lies in {live}, which this load replaces with all that is in it. Move "
                "the archive away, or load with --no-storages."
            )


def _path(context: Context) -> Path:
    return Path(context.output("fetch_archive")["path"])


def _manifest(context: Context, carried: Mapping[str, JSON] | None = None) -> Manifest:
    """The archive's; once its rows were carried forward, that of what came out."""
    if carried := carried or _carried(context):
        return carry.read(carried["directory"])
    with ArchiveReader(_path(context)) as reader:
        return reader.manifest


def _carried(context: Context) -> Mapping[str, JSON]:
    """What carry_forward left; empty where there was none, or none yet."""
    return context.outputs("carry_forward").get("", {})


def _options(context: Context, carried: Mapping[str, JSON] | None = None) -> Mapping[str, JSON]:
    """The run's, with the labels of models as they are here."""
    labels = (carried or _carried(context)).get("renamed", {})
    renamed = {old.lower(): new for old, new in labels.items()}
    models = [renamed.get(each.lower(), each) for each in context.options.get("models", ())]
    return {**context.options, "models": models}


def _member(context: Context, entry: ModelEntry) -> Path:
    """The rows of a model, extracted or carried forward."""
    if carried := _carried(context):
        return Path(carried["directory"]) / "arrived" / entry.member.name
    return _extracted(context) / entry.member.name


def _extracted(context: Context) -> Path:
    return Path(context.output("extract_archive")["directory"])


def _selection(
    manifest: Manifest, context: Context, carried: Mapping[str, JSON] | None = None
) -> Selection:
    return select(manifest, _options(context, carried), _left_out(context))


def _survey(context: Context) -> Mapping[str, JSON]:
    """What a salvage has found: empty for a whole archive, and before it has looked."""
    return context.outputs("verify_archive").get("", {})


def _left_out(context: Context) -> Sequence[str]:
    return list(_survey(context).get("left_out", ()))


def _models_left_out(context: Context) -> Sequence[str]:
    """Labels of models whose rows are damaged."""
    left_out = _left_out(context)
    return [e.model for e in _manifest(context).models if e.member.name in left_out]


def _nothing_whole() -> StepReport:
    return StepReport(skipped=True, stats={"reason": "it is damaged, and left out"})


def _nothing_left() -> StepReport:
    return StepReport(skipped=True, stats={"reason": "migrations left none of its rows"})


def _definitions(manifest: Manifest, context: Context) -> Sequence[DefinitionEntry]:
    """What of the archive's data is to be loaded. Raises UsageError for a name it does not have."""
    return _selection(manifest, context).definitions


def _models(manifest: Manifest, context: Context) -> list[ModelEntry]:
    return [entry for each in _definitions(manifest, context) for entry in each.models]


def _trees(manifest: Manifest, context: Context) -> Sequence[StorageEntry]:
    left_out = _left_out(context)
    offered = [each for each in manifest.storages if each.index.name not in left_out]
    return offered if context.options["storages"] else ()


def storages_of(context: Context) -> Sequence[StorageEntry]:
    """What of the archive's storages is restored."""
    return _trees(_manifest(context), context)


def _tree(context: Context, name: str) -> tuple[StorageEntry, Path]:
    (entry,) = [each for each in _manifest(context).storages if each.name == name]
    return entry, target.live_path(context, name)


def _live_trees(context: Context) -> Iterable[tuple[StorageEntry, Path]]:
    for entry in _trees(_manifest(context), context):
        yield entry, target.live_path(context, entry.name)


def _by_database(
    context: Context, carried: Mapping[str, JSON] | None = None
) -> dict[Staging, list[registry.ModelType]]:
    """A staging for each database, with the models whose rows it takes, in load order."""
    selection = _selection(_manifest(context, carried), context, carried)
    models: dict[str, list[registry.ModelType]] = {}
    for definition in selection.definitions:
        for entry in definition.models:
            if model := versions.target(entry):
                alias = target.alias(context, versions.database_of(definition))
                models.setdefault(alias, []).append(model)
    return {
        _staging(
            context, alias, added=[each for each in chosen if each._meta.label in selection.added]
        ): list(registry.load_order(chosen))
        for alias, chosen in sorted(models.items())
    }


def _staging(context: Context, alias: str, added: Collection[registry.ModelType] = ()) -> Staging:
    """Where one database's rows are staged, by this copy of the step alone."""
    run, place = str(context.run.pk), context.workspace.path
    staging = stage.Staging(run, alias, place, added, fence=context.confirm)
    if context.step.attempt > 1:
        staging.take_over()
    return staging


def drop_stagings(run: Run, workspace: Path) -> None:
    """Remove every staging of a run, also those half made."""
    for alias in _databases(run):
        stage.Staging(str(run.pk), alias, workspace).drop()


def drop_scratches(run: Run, workspace: Path) -> None:
    """Remove every scratch database of a run, also those half made."""
    for alias in _databases(run):
        scratch_places.drop_all(alias, str(run.pk), workspace)


def _databases(run: Run) -> Iterable[str]:
    """The databases that a run loads into, as far as it has got."""
    for step in run.steps.using(conf.database()).filter(name="fetch_archive"):
        yield from step.output.get("databases", ())


def clear_trees(run: Run) -> None:
    """Before the data is applied the staged trees go; afterwards the old ones do.

    What is staged once the swap is done, a late copy of a step has staged.
    """
    steps = run.steps.using(conf.database())
    swapped = steps.filter(name="apply", state=State.SUCCEEDED).exists()
    settle = partial(storages.settle, merging=is_merging(run))
    clear: list[Callable[[Path, str], None]] = []
    clear += [storages.discard] if run.applied_at is None or swapped else []
    clear += [settle] if run.applied_at is not None else []
    for step in steps.filter(name="stage_storage", attempt__gt=0):
        for act in clear:
            act(storages.live_path(step.subject), str(run.pk))


def _needs(context: Context) -> Iterator[Sequence[Need]]:
    """What a load takes at a time: until the live rows are replaced, and while they are."""
    manifest = _manifest(context)
    entries, trees = _models(manifest, context), _trees(manifest, context)
    workspace = context.workspace.path
    members = [each.member.bytes for each in entries] + [tree.index.bytes for tree in trees]
    extracted = taken_by(workspace, bytes_=sum(members), files=len(members))
    why = "the extracted members"
    always = [Need(directory=workspace, bytes=extracted, place="workspace", why=why)]
    rows = list(_rows_by_database(context))
    if carried := _needs_to_carry(manifest, context):
        always += carried
        beside = (room.to_stage, room.to_apply_beside)
        yield [*always, *(need(*each) for each in rows for need in beside)]
    always += [room.to_stage(staging, found) for staging, found in rows]
    if context.options["check"]:
        yield always
        return
    always += [_room_of(tree, context) for tree in trees]
    yield always
    safety = _needs_of_safety(context)
    yield from ([*always, *phase] for phase in safety)
    kept = [need for need in safety[-1] if need.place == "destination"] if safety else []
    to_apply = room.to_apply_beside if target.is_scratch(context) else room.to_apply
    yield [*always, *kept, *(to_apply(staging, found) for staging, found in rows)]


def _needs_to_carry(manifest: Manifest, context: Context) -> Sequence[Need]:
    """Where rows are carried forward: all members, as they were and as they come out."""
    definitions = _definitions(manifest, context)
    if not definitions or not versions.judge(versions.meeting(manifest, definitions)).carried:
        return ()
    workspace, models = context.workspace.path, manifest.models
    size = sum(entry.member.bytes for entry in models)
    taken = taken_by(workspace, bytes_=2 * size, files=2 * len(models))
    why = "the rows carried forward"
    return [Need(directory=workspace, bytes=taken, place="workspace", why=why)]


def _needs_of_safety(context: Context) -> Sequence[Sequence[Need]]:
    if not context.options.get("safety"):
        return ()
    try:
        return list(dump.phases(_safety(context), context.workspace.path))
    except (ConfigurationError, DatabaseError):
        return ()  # tables that are missing here are told by check_compatibility, with the cure


def _rows_by_database(context: Context) -> Iterator[tuple[Staging, room.Entries]]:
    """What goes into each live database, or into a scratch one beside it."""
    found: dict[str, dict[registry.ModelType, ModelEntry]] = {}
    for definition in _definitions(_manifest(context), context):
        for entry in definition.models:
            if model := versions.target(entry):
                found.setdefault(versions.database_of(definition), {})[model] = entry
    for alias, entries in sorted(found.items()):
        yield _staging(context, alias), entries


def _taken(context: Context) -> dict[str, int]:
    """What the workspace and the live databases take."""
    return {
        "workspace": taken_in(context.workspace.path),
        "database": sum(room.taken(staging) for staging, _ in _rows_by_database(context)),
    }


def _taken_since(context: Context) -> dict[str, int]:
    """How much more that is than before; not asked in a drill, whose files would be counted."""
    if target.is_scratch(context):
        return {}
    before = context.output("check_space")["taken"]
    return {place: max(0, now - before[place]) for place, now in _taken(context).items()}


def _room_of(tree: StorageEntry, context: Context) -> Need:
    directory = storages.staged_in(target.live_path(context, tree.name))
    return Need(
        directory=directory,
        bytes=taken_by(directory, bytes_=tree.raw_bytes, files=tree.entries),
        files=tree.entries,
        place="workspace" if target.is_scratch(context) else "media",
        why=f"storage {tree.name}",
    )


def _found_before(context: Context) -> list[Finding]:
    names = ("check_compatibility", "carry_forward", "load_application")
    steps = context.run.steps.using(conf.database()).filter(name__in=names)
    return [Finding.from_json(shape) for step in steps for shape in step.findings]


def _refuse(findings: Sequence[Finding]) -> None:
    """Raise every finding of the run so far, if any of them is an error."""
    if any(finding.severity == Severity.ERROR for finding in findings):
        raise FindingsError(findings)


def _is_applied(run: Run) -> bool:
    found = Run.objects.using(conf.database()).filter(pk=run.pk, applied_at=None)
    return not found.exists()


def _apply_data(context: Context) -> dict[str, int]:
    """Returns what was taken at most: just before the commit, or, by logs, after it."""
    stagings = _by_database(context)
    seen: list[dict[str, int]] = []

    def marked() -> None:
        seen.append(_taken_since(context))
        _mark_applied(context)

    mark = None if target.is_scratch(context) else marked
    if stagings or mark is None:
        with _room_made_again(stagings):
            data_apply.apply(stagings, mode=context.options["mode"], mark=mark, tick=context.tick)
    else:
        with transaction.atomic(using=conf.database()):
            _mark_applied(context)
    return most_used([*seen, _taken_since(context)])


@contextmanager
def _room_made_again(stagings: Iterable[Staging]) -> Iterator[None]:
    """Drop what is staged as soon as a disk is full, so that the database has room to say so.

    What a transaction that failed has added to the tables stays added until they are vacuumed.
    """
    try:
        yield
    except InsufficientSpace:
        for staging in stagings:
            try:
                staging.drop()
            except (DisketteError, DatabaseError, OSError):  # the run's end tries again
                logger.exception("the staged rows in %s cannot be dropped", staging.database)
        raise


def _mark_applied(context: Context) -> None:
    """The last statements of the transaction. Raises Stopped if the step is no longer ours.

    Both write, the run's row first as everywhere: under REPEATABLE READ only what writes sees
    what others have committed since the transaction began.
    """
    alias = conf.database()
    sessions.let_go_when_idle(alias, conf.lease())
    ours = Step.objects.using(alias).filter(
        pk=context.step.pk, token=context.step.token, state=State.RUNNING
    )
    runs = Run.objects.using(alias).filter(pk=context.run.pk, ending="", applied_at=None)
    if not (runs.update(applied_at=Now()) and ours.update(token=context.step.token)):
        raise Stopped("the step was taken from this process")
