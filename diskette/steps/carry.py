"""The step of a load that carries an older archive's rows forward to this project's state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from diskette import registry
from diskette.core.archive import ArchiveReader
from diskette.core.manifest import DefinitionEntry, Manifest
from diskette.core.report import JSON, Finding
from diskette.data import carrying
from diskette.data.scratch import scratch
from diskette.doctor import versions
from diskette.steps.context import Context


def carry(
    context: Context, archive: Path, labels: Sequence[str]
) -> tuple[Mapping[str, JSON], list[Finding]]:
    """Where the new manifest and members lie, with labels that changed, and what is to be told.

    All that the archive holds is carried, whatever of it is loaded: a migration may look at
    rows of other models. Databases are done one after another.
    """
    directory = context.workspace.path / f"carried.{context.step.token}"
    directory.mkdir(mode=0o700, exist_ok=True)
    with ArchiveReader(archive) as reader:
        manifest = reader.manifest
        reader.extract([each.member.name for each in manifest.models], directory, context.tick)
    context.expect(3 * manifest.rows, "rows")  # staged, put and written anew
    definitions: dict[str, DefinitionEntry] = {}
    told, renamed = list[Finding](), dict[str, str]()
    for database, names in _by_database(manifest.definitions).items():
        (directory / carrying.MANIFEST).write_bytes(manifest.to_bytes())
        with scratch(
            str(context.run.pk), database, context.workspace.path, f"carry.{context.step.token}"
        ) as made:
            result = made.apart(
                "diskette.data.carrying:carry",
                context.tick,
                names=names,
                run=str(context.run.pk),
                directory=str(directory),
                labels=list(labels),
                ignore_unknown=bool(context.options["ignore_nonexistent"]),
                drop_stale=bool(context.options.get("drop_stale")),
            )
        told += map(Finding.from_json, result["findings"])
        renamed |= result["renamed"]
        raw = (directory / carrying.MANIFEST).read_bytes()
        carried = Manifest.from_bytes(raw, archive=archive.name)
        definitions |= {each.name: each for each in carried.definitions}
    whole = _whole(manifest, definitions)
    (directory / carrying.MANIFEST).write_bytes(whole.to_bytes())
    return {"directory": str(directory), "renamed": renamed}, told


def read(directory: str) -> Manifest:
    """The manifest of what was carried."""
    path = Path(directory) / carrying.MANIFEST
    return Manifest.from_bytes(path.read_bytes(), archive="the rows carried forward")


def _by_database(definitions: Iterable[DefinitionEntry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in definitions:
        found.setdefault(versions.database_of(each), []).append(each.name)
    return found


def _whole(manifest: Manifest, definitions: Mapping[str, DefinitionEntry]) -> Manifest:
    arrived = tuple(definitions[each.name] for each in manifest.definitions)
    models = [
        model
        for each in arrived
        for entry in each.models
        if (model := registry.find_model(entry.model))
    ]
    order = tuple(model._meta.label for model in registry.load_order(models))
    return replace(manifest, definitions=arrived, load_order=order)
