"""The steps of a dump, in the order of diskette.core.plan."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import django
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import QuerySet
from django.utils import timezone

from diskette import conf, registry, storages
from diskette.core import archive, catalog, naming, plan
from diskette.core.assembling import draft_of, piece_bytes, write_archive
from diskette.core.exceptions import (
    ConfigurationError,
    DisketteError,
    FindingsError,
    UsageError,
)
from diskette.core.files import sync_file
from diskette.core.lazy import Lazy
from diskette.core.logs import logger_of
from diskette.core.manifest import (
    FORMAT,
    DefinitionEntry,
    Manifest,
    MemberEntry,
    ModelEntry,
    Snapshot,
    StorageEntry,
    Versions,
)
from diskette.core.report import JSON, Finding, PlannedStep, Severity, StepReport
from diskette.core.space import (
    Need,
    by_place,
    disk_errors_named,
    require,
    taken_by,
    taken_by_file,
    taken_in,
)
from diskette.core.version import __version__
from diskette.models import Archive, Run, stored
from diskette.steps.alone import alone
from diskette.steps.context import Context

if TYPE_CHECKING:
    from diskette import doctor
    from diskette.data import dump as data
    from diskette.data import snapshot as snapshots
else:
    doctor = Lazy("diskette.doctor")
    data = Lazy("diskette.data.dump")
    snapshots = Lazy("diskette.data.snapshot")

logger = logger_of(__name__)

MEMBER_BYTES = 1500
"""Of each member beside what it holds: its header, what fills its last block, and what the manifest
and SHA256SUMS say of it."""


def options(
    *,
    applications: Sequence[str] = (),
    data: bool = True,
    storages: bool = True,
    label: str | None = None,
    destination: str | None = None,
    filename: str | None = None,
    purpose: str = "dump",
    besides: Sequence[tuple[str, str]] = (),
) -> dict[str, JSON]:
    """What a dump's row keeps of how it was asked for.

    `besides`: labels and databases of models that no definition takes, for a safety dump.
    """
    return {
        "applications": list(applications),
        "data": data,
        "storages": storages,
        "label": label or conf.label(),
        "destination": str(Path(destination).absolute() if destination else conf.destination()),
        "filename": filename,
        "purpose": purpose,
        "besides": [list(each) for each in besides],
    }


def plan_of(options: Mapping[str, JSON]) -> tuple[PlannedStep, ...]:
    """The steps of a dump. Raises ConfigurationError or UsageError, before anything begins."""
    if not options["data"] and not options["storages"]:
        raise UsageError("Nothing is left to dump: data and storages are both switched off.")
    definitions = _resolution(options).definitions
    trees = _storages(options)
    if not definitions and not trees:
        raise ConfigurationError(
            "Nothing is defined to be dumped: DISKETTE_APPS and DISKETTE_STORAGES are empty. "
            "Remove DISKETTE_APPS to have every installed application dumped, or define some."
        )
    _require_directory(Path(options["destination"]))
    _refuse_inside(Path(options["destination"]))
    _require_name(options, data=bool(definitions), storages=bool(trees))
    names, led = [each.name for each in definitions], _leaders(definitions)
    return plan.dump_plan(names, (tree.name for tree in trees), led=led)


def check_space(context: Context) -> StepReport:
    """Refuse before work what would fill a disk in the middle of it."""
    measured = {tree: storages.measure(tree) for tree in _storages(context.options)}
    needed = list(phases(context.options, context.workspace.path, measured))
    require(*needed)
    resolution = _resolution(context.options)
    findings = (
        doctor.of_definitions(resolution, data_follows=True) if context.options["data"] else []
    )
    places, sizes = by_place(*needed), {tree.name: size.bytes for tree, size in measured.items()}
    return StepReport(
        stats={"needed_bytes": places},
        findings=findings,
        output={"needed": places, "storages": sizes},
    )


def open_snapshot(context: Context) -> StepReport:
    """Hold each database at one instant, until the run ends."""
    close_snapshots(context.run, context.workspace.path)
    opened = {}
    for alias in _aliases(context.options):
        context.tick(0)
        opened[alias] = asdict(snapshots.open_snapshot(alias, context.workspace.path))
    methods = ", ".join(sorted({str(each["method"]) for each in opened.values()}))
    return StepReport(stats={"databases": len(opened), "method": methods}, output=opened)


def close_snapshots(run: Run, workspace: Path) -> None:
    """Let go of whatever instants the run holds."""
    for step in run.steps.using(conf.database()).filter(name="open_snapshot"):
        for snapshot in (Snapshot(**shape) for shape in step.output.values()):
            snapshots.close_snapshot(snapshot, workspace)
            snapshots.end_sessions(snapshot, workspace)


def dump_application(context: Context) -> StepReport:
    """Write one definition's rows as members of the archive to be.

    Where only one connection can show an instant, the first definition's step writes the rows
    of all of that database, and theirs take over what it wrote.
    """
    leaders = _leaders(_resolution(context.options).definitions)
    if context.subject in leaders:
        return _taken_over(context, leaders[context.subject])
    led = [name for name, leader in leaders.items() if leader == context.subject]
    own, *others = _dumped(context, [context.subject, *led])
    along = {name: asdict(each) for name, each in zip(led, others, strict=True)}
    return replace(own, output={**own.output, "along": along} if along else own.output)


def _leaders(definitions: Iterable[registry.ResolvedDefinition]) -> dict[str, str]:
    """By definition, the one whose step dumps its rows along."""
    first: dict[str, str] = {}
    leaders = {}
    for each in definitions:
        leader = first.setdefault(each.database, each.name)
        if leader != each.name and not snapshots.is_shared(each.database):
            leaders[each.name] = leader
    return leaders


def _taken_over(context: Context, leader: str) -> StepReport:
    shape = context.output("dump_application", leader)["along"][context.subject]
    context.expect(shape["stats"]["rows"], "rows")
    return StepReport(
        stats=shape["stats"],
        findings=[Finding.from_json(each) for each in shape["findings"]],
        output=shape["output"],
    )


def _dumped(context: Context, names: Sequence[str]) -> list[StepReport]:
    """Definitions of one database, each as its own step's report."""
    found = {each.name: each for each in _resolution(context.options, only=names).definitions}
    definitions = [found[name] for name in names]
    snapshot = Snapshot(**context.output("open_snapshot")[definitions[0].database])
    directory = context.workspace.path / f"data.{context.step.id}.{context.step.token}"
    directory.mkdir(exist_ok=True)
    with snapshots.reading(snapshot, context.workspace.path) as alias, disk_errors_named(directory):
        begun = snapshots.begun(snapshot)
        sizes = [data.estimate(each.models, alias) for each in definitions]
        context.expect(sum(size.rows for each in sizes for size in each.values()), "rows")
        return [_dumped_one(context, each, begun, alias, directory) for each in definitions]


def _dumped_one(
    context: Context,
    definition: registry.ResolvedDefinition,
    snapshot: Snapshot,
    alias: str,
    directory: Path,
) -> StepReport:
    parts: list[dict[str, JSON]] = []
    findings: list[Finding] = []
    for model in definition.models:
        path = directory / f"{model._meta.label}.jsonl.zst"
        part = data.dump_model(
            model,
            path,
            using=alias,
            natural_foreign=definition.natural_foreign,
            natural_primary=definition.natural_primary,
            default_manager=definition.default_manager,
            tick=context.tick,
        )
        shape = asdict(replace(part, findings=())) | {"path": str(path)}
        findings += [replace(each, definition=definition.name) for each in part.findings]
        parts.append(shape)
    return StepReport(
        stats={
            "models": len(parts),
            "rows": sum(part["rows"] for part in parts),
            "bytes": sum(part["bytes"] for part in parts),
        },
        findings=findings,
        output={"snapshot": asdict(snapshot), "models": parts},
    )


def check_data(context: Context) -> StepReport:
    """Say what of the rows and files a load would refuse, at the instant that is dumped.

    Nothing of it ends the dump: a backup with a flaw that is known beats none.
    """
    resolution = _resolution(context.options)
    context.expect(sum(len(each.models) for each in resolution.definitions), "models")
    with ExitStack() as opened:
        using = {
            alias: opened.enter_context(
                snapshots.reading(Snapshot(**shape), context.workspace.path)
            )
            for alias, shape in context.output("open_snapshot").items()
        }
        trees = _storages(context.options)
        patient = doctor.Patient(
            resolution=resolution, storages=trees, using=using, tick=context.tick
        )
        found = _examined(patient)
    return StepReport(stats={"models": len(resolution.load_order)}, findings=found)


def _examined(patient: doctor.Patient) -> list[Finding]:
    """What is wrong with rows and files, or that code of the project's kept it from being seen."""
    try:
        return doctor.of_data(patient)
    except (DisketteError, DatabaseError, InterfaceError, SoftTimeLimitExceeded):
        raise
    except Exception as error:
        logger.exception("check_data failed; the dump goes on")
        return [
            Finding(
                code="unexpected",
                severity=Severity.WARNING,
                message="Rows and files are dumped, but were not examined: "
                f"{type(error).__name__}: {error}",
                hint="A defect of Diskette, or of the project's code that it calls (storages of "
                "files, managers): the log of the process has the whole story.",
            )
        ]


def collect_storage(context: Context) -> StepReport:
    """Write one directory's files as members of the archive to be."""
    (storage,) = [each for each in _storages(context.options) if each.name == context.subject]
    directory = context.workspace.path / f"storage.{context.step.id}.{context.step.token}"
    directory.mkdir(exist_ok=True)
    tree, index = directory / "tree.tar.zst", directory / "index.jsonl.zst"
    context.expect(context.output("check_space")["storages"][storage.name], "bytes")
    part = storages.collect(storage, tree, index, tick=context.tick)
    return StepReport(
        stats={"files": part.files, "raw_bytes": part.raw_bytes, "bytes": part.tree.bytes},
        findings=part.findings,
        output={
            "tree": asdict(part.tree) | {"path": str(tree)},
            "index": asdict(part.index) | {"path": str(index)},
            "entries": part.entries,
            "files": part.files,
            "raw_bytes": part.raw_bytes,
            "excludes": list(storage.excludes),
        },
    )


def assemble_archive(context: Context) -> StepReport:
    """Make one file of the parts, beside where it will be published; they go meanwhile."""
    manifest, members = _manifest(context)
    directory = Path(context.options["destination"])
    with disk_errors_named(directory):
        directory.mkdir(parents=True, exist_ok=True)
    partial = directory / _partial_name(context.run)
    context.expect(sum(entry.bytes for entry in manifest.members), "bytes")
    with alone(context, "assembly"):
        workspace = taken_in(context.workspace.path)
        write_archive(partial, manifest, members, context.tick)
    return StepReport(
        stats={"members": len(members) + 1, "bytes": partial.stat().st_size},
        output={
            "path": str(partial),
            "instant": manifest.instant.isoformat(),
            "rows": manifest.rows,
            "files": manifest.files,
            "used": {"workspace": workspace, "destination": taken_by_file(partial)},
        },
    )


def verify_archive(context: Context) -> StepReport:
    """Read the archive back, every byte, before anybody may rely on it, while it is synced."""
    path = Path(context.output("assemble_archive")["path"])
    context.expect(path.stat().st_size, "bytes")
    with archive.ArchiveReader(path) as reader, ThreadPoolExecutor(1) as disk:
        syncing = disk.submit(sync_file, path)
        broken, digest = reader.verify_and_digest(context.tick)
        with disk_errors_named(path.parent):
            syncing.result()
    if broken or digest is None:
        raise FindingsError(broken)
    return StepReport(
        stats={"bytes": digest.size, "sha256": digest.hex},
        output={"sha256": digest.hex, "bytes": digest.size},
    )


def publish_archive(context: Context) -> StepReport:
    """Give the archive its name; from here on it is a backup."""
    made, proof = context.output("assemble_archive"), context.output("verify_archive")
    partial, instant = Path(made["path"]), datetime.fromisoformat(made["instant"])
    name = naming.archive_name(
        label=str(context.options["label"]),
        instant=instant,
        data=bool(context.outputs("dump_application")),
        storages=bool(context.outputs("collect_storage")),
        pattern=_pattern(context.options),
    )
    context.confirm()
    final = _published(context, partial) or archive.publish(partial, partial.parent / name)
    final.chmod(conf.archive_mode())
    Archive.objects.using(conf.database()).update_or_create(
        path=str(final),
        defaults={
            "name": final.name,
            "label": context.options["label"],
            "purpose": context.options["purpose"],
            "run": context.run,
            "instant": stored(instant),
            "bytes": proof["bytes"],
            "sha256": proof["sha256"],
            "verified_at": timezone.now(),
            "damaged_at": None,
            "proven_at": None,
            "removed_at": None,
        },
    )
    return StepReport(
        stats={"archive": final.name},
        output={"path": str(final)},
    )


def finish(context: Context) -> StepReport:
    """Sum up."""
    made, published = context.output("assemble_archive"), context.output("publish_archive")
    stats = {
        "rows": made["rows"],
        "files": made["files"],
        "bytes": context.output("verify_archive")["bytes"],
        "seconds": round((timezone.now() - context.run.created_at).total_seconds(), 3),
    }
    Run.objects.using(conf.database()).filter(pk=context.run.pk).update(
        archive=published["path"], stats=stats
    )
    return StepReport(stats=context.room())


def preview(options: Mapping[str, JSON]) -> dict[str, JSON]:
    """What a dump would take in and need; nothing is written."""
    resolution, trees = _resolution(options), _storages(options)
    sizes = [(each, data.estimate(each.models, each.database)) for each in resolution.definitions]
    measured = {tree: storages.measure(tree) for tree in trees}
    needs = [each for phase in phases(options, conf.workspace_root(), measured) for each in phase]
    return {
        "definitions": [
            {
                "name": each.name,
                "database": each.database,
                "models": [model._meta.label for model in each.models],
                "rows": sum(size.rows for size in estimated.values()),
                "bytes": sum(size.bytes for size in estimated.values()),
            }
            for each, estimated in sizes
        ],
        "storages": [
            {"name": tree.name, "files": size.files, "bytes": size.bytes}
            for tree, size in measured.items()
        ],
        "needs": [
            {"directory": str(n.directory), "bytes": n.bytes, "why": n.why, "place": n.place}
            for n in needs
        ],
        "findings": [finding.to_json() for finding in resolution.findings],
    }


def phases(
    options: Mapping[str, JSON],
    workspace: Path,
    measured: Mapping[storages.Storage, storages.Measure] | None = None,
) -> Iterator[Sequence[Need]]:
    """What a dump takes at a time: while its parts are made, and once they are joined.

    In between, what the archive takes more the parts take less, but for a piece of one of them.
    """
    if measured is None:
        measured = {tree: storages.measure(tree) for tree in _storages(options)}
    definitions = _resolution(options).definitions
    rows = [size for each in definitions for size in _packed_rows(each)]
    trees = [size for each in measured.values() for size in (each.packed_tree, each.packed_index)]
    members = [*rows, *trees]
    copied = sum(snapshots.room_needed(alias) for alias in _aliases(options))
    held = Need(directory=workspace, bytes=copied, place="workspace", why="the databases' copies")
    always = [held] if copied else []
    room = taken_by(workspace, bytes_=sum(members), files=len(members))
    parts = Need(directory=workspace, bytes=room, place="workspace", why="the parts")
    piece = piece_bytes(max(members, default=0))
    joined = Need(
        directory=Path(options["destination"]),
        bytes=sum(members) + MEMBER_BYTES * len(members) + piece,
        place="destination",
        why="the archive",
    )
    yield [*always, parts]
    yield [*always, joined]


def has_rows(applications: Sequence[str] = ()) -> bool:
    """Whether anything defined to be dumped has a row."""
    return any(
        QuerySet(model, using=each.database).exists()
        for each in registry.resolve(applications).definitions
        for model in each.models
    )


def partials(run: Run) -> list[Path]:
    """Archives that the run began and did not publish."""
    if run.kind != plan.Kind.DUMP or "destination" not in run.options:
        return []
    partial = Path(run.options["destination"]) / _partial_name(run)
    return [path for path in (partial, draft_of(partial)) if path.exists()]


def _partial_name(run: Run) -> str:
    """The same for each attempt, for one goes on where another was cut off."""
    return f".{run.pk}.partial"


def _require_directory(destination: Path) -> None:
    for place in (destination, *destination.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(
                f"{destination} cannot hold archives: {place} is a file. Choose a directory, "
                "which is made if it does not exist."
            )


def _require_name(options: Mapping[str, JSON], *, data: bool, storages: bool) -> None:
    label, now, pattern = str(options["label"]), datetime.now(UTC), _pattern(options)
    try:
        naming.archive_name(label=label, instant=now, data=data, storages=storages, pattern=pattern)
    except ConfigurationError as error:
        if options["filename"] or label != conf.label():
            raise UsageError(str(error)) from error
        raise


def _refuse_inside(destination: Path) -> None:
    """Archives must outlive loads, which replace storages with all that is in them."""
    for root, _ in conf.storages():
        if isinstance(root, Path) and destination.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"{destination} lies in {root}, one of DISKETTE_STORAGES: a load would replace it "
                "and the archives in it. Choose a destination outside of every storage."
            )


def _resolution(
    options: Mapping[str, JSON], only: Sequence[str] | None = None
) -> registry.Resolution:
    if not options["data"]:
        return registry.Resolution(definitions=(), load_order=(), findings=())
    if options["purpose"] != "safety":
        return registry.resolve(options["applications"] if only is None else only)
    besides = [(registry.find_model(label), alias) for label, alias in options.get("besides", ())]
    whole = registry.unabridged(registry.resolve(), [(m, alias) for m, alias in besides if m])
    chosen = [each for each in whole.definitions if only is None or each.name in only]
    return replace(whole, definitions=tuple(chosen))


def _storages(options: Mapping[str, JSON]) -> tuple[storages.Storage, ...]:
    """Those to take in; a safety dump has all that their replacement takes away."""
    trees = storages.resolve() if options["storages"] else ()
    if options["purpose"] == "safety":
        return tuple(replace(tree, excludes=()) for tree in trees)
    return trees


def _aliases(options: Mapping[str, JSON]) -> list[str]:
    return sorted({each.database for each in _resolution(options).definitions})


def _pattern(options: Mapping[str, JSON]) -> str | None:
    return options["filename"] or conf.filename_pattern()


def _packed_rows(definition: registry.ResolvedDefinition) -> Iterator[int]:
    for model in definition.models:
        yield data.packed(
            model,
            using=definition.database,
            natural_foreign=definition.natural_foreign,
            natural_primary=definition.natural_primary,
        )


def _manifest(context: Context) -> tuple[Manifest, dict[str, Path]]:
    dumped, collected = context.outputs("dump_application"), context.outputs("collect_storage")
    resolution = _resolution(context.options)
    order = [model._meta.label for model in resolution.load_order]
    steps = context.run.steps.using(conf.database())
    found = [finding for step in steps for finding in step.findings]
    opened = [Snapshot(**shape) for shape in context.outputs("open_snapshot").get("", {}).values()]
    _require_one_instant(dumped, opened)
    opened = _begun(dumped, opened)
    members: dict[str, Path] = {}
    manifest = Manifest(
        format=FORMAT,
        label=str(context.options["label"]),
        instant=_instant(opened, context.run),
        run=str(context.run.pk),
        purpose=str(context.options["purpose"]),
        versions=_versions(opened),
        snapshots=tuple(opened),
        definitions=tuple(
            DefinitionEntry(
                name=each.name,
                database=each.database,
                models=tuple(
                    _model_entry(part, order, members) for part in dumped[each.name]["models"]
                ),
                filename=each.filename,
            )
            for each in resolution.definitions
        ),
        load_order=tuple(order),
        storages=tuple(_storage_entry(name, part, members) for name, part in collected.items()),
        migrations=_migrations(opened),
        findings=tuple(map(Finding.from_json, found)),
        environment=conf.environment(),
    )
    return manifest, members


def _model_entry(
    part: Mapping[str, JSON], order: Sequence[str], members: dict[str, Path]
) -> ModelEntry:
    label = part["model"]
    name = f"data/{order.index(label) + 1:04}_{label}.jsonl.zst"
    members[name] = Path(part["path"])
    return ModelEntry(
        model=label,
        table=part["table"],
        member=MemberEntry(name=name, bytes=part["bytes"], sha256=part["sha256"]),
        rows=part["rows"],
        raw_bytes=part["raw_bytes"],
        digest=part["digest"],
        fields=tuple(part["fields"]),
        primary_key=part["primary_key"],
        natural_foreign=part["natural_foreign"],
    )


def _storage_entry(name: str, part: Mapping[str, JSON], members: dict[str, Path]) -> StorageEntry:
    entries = {}
    for kind, ending in (("tree", "tar.zst"), ("index", "index.jsonl.zst")):
        member = f"storages/{name}.{ending}"
        members[member] = Path(part[kind]["path"])
        entries[kind] = MemberEntry(
            name=member, bytes=part[kind]["bytes"], sha256=part[kind]["sha256"]
        )
    return StorageEntry(
        name=name,
        tree=entries["tree"],
        index=entries["index"],
        entries=part["entries"],
        files=part["files"],
        raw_bytes=part["raw_bytes"],
        excludes=tuple(part["excludes"]),
    )


def _require_one_instant(
    dumped: Mapping[str, Mapping[str, JSON]], opened: Sequence[Snapshot]
) -> None:
    """Parts of two instants are never joined: a part's snapshot is the one held now."""
    names = {snapshot.name for snapshot in opened}
    strangers = [name for name, part in dumped.items() if part["snapshot"]["name"] not in names]
    if strangers:
        raise ConfigurationError(f"Parts of another instant: {', '.join(strangers)}.")


def _begun(dumped: Mapping[str, Mapping[str, JSON]], opened: Sequence[Snapshot]) -> list[Snapshot]:
    """The snapshots as they were read: where each reading has its own instant, at that one."""
    read = {part["snapshot"]["database"]: Snapshot(**part["snapshot"]) for part in dumped.values()}
    return [read.get(each.database, each) for each in opened]


def _instant(opened: Sequence[Snapshot], run: Run) -> datetime:
    instants = [datetime.fromisoformat(snapshot.at) for snapshot in opened]
    return min(instants, default=run.created_at).astimezone(UTC)


def _versions(opened: Sequence[Snapshot]) -> Versions:
    engines = {}
    for snapshot in opened:
        found = connections[snapshot.database].get_database_version()
        engines[snapshot.database] = f"{snapshot.engine} {'.'.join(map(str, found))}"
    return Versions(
        diskette=__version__,
        django=django.get_version(),
        python=platform.python_version(),
        engines=engines,
    )


def _migrations(opened: Sequence[Snapshot]) -> dict[str, tuple[str, ...]]:
    leaves: dict[str, tuple[str, ...]] = {}
    for snapshot in opened:
        leaves |= registry.migration_leaves(snapshot.database)
    return leaves


def _published(context: Context, partial: Path) -> Path | None:
    """The archive that an earlier attempt of this very step named before it was cut off."""
    if partial.exists():
        return None
    found = catalog.find(partial.parent)
    ours = [each for each in found if each.manifest and each.manifest.run == str(context.run.pk)]
    return next((each.path for each in ours), None)
