"""Make an archive of an older release, and show what its database becomes by plain migrating."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
from django.apps.registry import Apps
from django.core.management import BaseCommand, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model

from diskette.core.assembling import write_archive
from diskette.core.manifest import DefinitionEntry, Manifest, MemberEntry, ModelEntry, Versions
from diskette.data.dump import dump_model
from tests.older.picture import picture

USER = 1
"""Of the archive's products, in the archive or not."""


class Command(BaseCommand):
    """On an empty database: migrate to the state, fill, dump, migrate on."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("archive")
        parser.add_argument("--store", default="0001_initial")
        parser.add_argument("--notes", default="0001_squashed_0002_text")
        parser.add_argument("--notes-recorded", default="0002_text")
        parser.add_argument("--long-name", action="store_true", help="that no migration can split")
        parser.add_argument("--natural", action="store_true", help="users, named by natural key")

    def handle(self, *_: Any, **options: Any) -> None:
        targets = [("store", options["store"]), ("notes", options["notes"])]
        parts = {"0002_title"} & {options["store"]}
        executor = MigrationExecutor(connection)
        executor.loader = MigrationLoader(connection, replace_migrations=not parts)
        others = [key for key in executor.loader.graph.leaf_nodes() if key[0] not in dict(targets)]
        state = executor.migrate([*others, *targets])
        call_command("migrate", "contenttypes", verbosity=0)  # makes the content types of the state
        models = fill(state.apps)
        if options["long_name"]:
            customers = state.apps.get_model("store", "Customer").objects
            customers.filter(email__startswith="Ann").update(full_name=f"{'A' * 40} Ng")
        leaves = {"store": (options["store"],), "notes": (options["notes_recorded"],)}
        if options["natural"]:
            models.insert(0, state.apps.get_model("auth", "User"))
        write(Path(options["archive"]), models, leaves)
        if options["long_name"]:
            return
        call_command("migrate", verbosity=0)
        self.stdout.write(json.dumps(picture()))


def fill(apps: Apps) -> list[type[Model]]:
    """Rows in whatever the models are called at that state; those models in load order."""
    get = apps.get_model
    user = get("auth", "User").objects.create(pk=USER, username="ada")
    names = {each.name for each in get("store", "Product")._meta.get_fields()}
    products = [
        get("store", "Product").objects.create(
            pk=number,
            price=f"{number}.50",
            owner=user if number % 2 else None,
            **{"title" if "title" in names else "name": f"Pröduct {number}"},
            **({"stock": number} if "stock" in names else {}),
            **({"shade": ("red", "blue")[number % 2]} if "shade" in names else {}),
        )
        for number in range(1, 6)
    ]
    split = "first" in {each.name for each in get("store", "Customer")._meta.get_fields()}
    customers = [
        get("store", "Customer").objects.create(
            email=f"{name}@example.org",
            **({"first": name, "last": "Ng"} if split else {"full_name": f"{name} van Ng"}),
        )
        for name in ("Ann", "Bob")
    ]
    has_orders = "order" in apps.all_models["store"]
    order = get("store", "Order" if has_orders else "Purchase")
    for customer in customers:
        at = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
        made = order.objects.create(customer=customer, at=at)
        (made.products if has_orders else made.items).set(products[:3])
    kinds = get("contenttypes", "ContentType").objects
    kind, _ = kinds.get_or_create(app_label="store", model=order._meta.model_name)
    get("store", "Tag").objects.create(word="big", content_type_id=kind.pk, object_id=1)
    get("notes", "Note").objects.create(text="As it was")
    found = [get("store", "Product"), get("store", "Customer"), order]
    found += [each.remote_field.through for each in order._meta.local_many_to_many]
    found += [get("store", "Tag"), get("notes", "Note")]
    if "coupon" in apps.all_models["store"]:
        get("store", "Coupon").objects.create(code="X1")
        found.append(get("store", "Coupon"))
    if "colour" in apps.all_models["store"]:
        found.insert(0, get("store", "Colour"))
    return found


def write(path: Path, models: list[type[Model]], leaves: dict[str, tuple[str, ...]]) -> None:
    """The archive, as the release of that state would have made it."""
    members: dict[str, Path] = {}
    definitions = []
    for label in dict.fromkeys(each._meta.app_label for each in models):
        entries = []
        for model in (each for each in models if each._meta.app_label == label):
            name = f"data/{len(members) + 1:04}_{model._meta.label}.jsonl.zst"
            members[name] = path.with_name(f"{uuid4().hex}.zst")
            entries.append(entry(model, name, members[name]))
        definitions.append(DefinitionEntry(name=label, database="default", models=tuple(entries)))
    recorded = MigrationLoader(connection).applied_migrations
    others = {app: () for app, _ in recorded if app not in leaves}
    loader = MigrationLoader(None)
    for app, name in loader.graph.leaf_nodes():
        if app in others:
            others[app] = (*others[app], name)
    manifest = Manifest(
        format=1,
        label="older",
        instant=datetime.now(UTC),
        run=str(uuid4()),
        purpose="dump",
        versions=Versions(diskette="1", django=django.get_version(), python="3", engines={}),
        snapshots=(),
        definitions=tuple(definitions),
        load_order=tuple(model._meta.label for model in models),
        storages=(),
        migrations={**others, **leaves},
    )
    write_archive(path, manifest, members)


def entry(model: type[Model], name: str, path: Path) -> ModelEntry:
    part = dump_model(model, path, using="default", tick=lambda _: None)
    return ModelEntry(
        model=part.model,
        table=part.table,
        member=MemberEntry(name=name, bytes=part.bytes, sha256=part.sha256),
        rows=part.rows,
        raw_bytes=part.raw_bytes,
        digest=part.digest,
        fields=part.fields,
        primary_key=part.primary_key,
    )
