"""Rows and files for a site of the original's: what its fixtures can hold without loss.

JSON cuts instants to milliseconds, XML has no control characters and no carriage returns, a
file's NULL is written as an empty name, and JSON's null as SQL's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.db.models import JSONField, Value
from django.utils import timezone

from tests.library import models as library
from tests.library.samples import AT, fill
from tests.original.files import files
from tests.original.rows import APPLICATIONS, rows

BASE = Path(os.environ["ORIGINAL_BASE"])

FILES = {
    "media/covers/a.png": b"\x89PNG\r\n" + bytes(range(256)),
    "media/é ü/long " + "name" * 40 + ".txt": b"text",
    "media/empty.txt": b"",
    "media/scratch.tmp": b"left out",
    "var/media/b.txt": b"b" * 3000,
}
AT_NS = 1_764_000_000_123_456_700


def show() -> None:
    """Print what the site holds."""
    held = {"rows": rows(), "files": files(BASE)}
    print(json.dumps(held, indent=1, ensure_ascii=False))  # noqa: T201 - the script reads it


def fill_site() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(library.Ledger)  # unmanaged, but the original wants to read it
    fill("default")
    ann, readers = User.objects.get(username="ann"), Group.objects.get()
    editors = Group.objects.create(name="editors")
    # Pairs whose numbers differ from those of the order in which lists name them.
    User.objects.get(username="bob é").groups.add(editors, readers)
    ann.groups.add(editors)
    kind = ContentType.objects.get_for_model(library.Book)
    LogEntry.objects.create(
        user=ann, content_type=kind, object_id="1", action_flag=ADDITION, action_time=AT
    )
    Session.objects.create(session_key="s", session_data="", expire_date=timezone.now())
    _express()
    for name, content in FILES.items():
        path = BASE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(AT_NS, AT_NS))
    covers = BASE / "media" / "covers"
    (covers / "link.png").symlink_to("a.png")
    os.utime(covers / "link.png", ns=(AT_NS, AT_NS), follow_symlinks=False)
    os.link(covers / "a.png", BASE / "media" / "another.png")
    (covers / "a.png").chmod(0o640)


def _express() -> None:
    """Replace what a fixture cannot say, or says as something else."""
    library.Book.objects.filter(title__contains="\x01").update(title="Title \x85 & <b>")
    library.Book.objects.filter(title__contains="\r").update(title="Title tab\tline\nend")
    library.Specimen.objects.filter(file=None).update(file="")
    library.Specimen.objects.filter(json=Value(None, JSONField())).update(json={"null": None})
    for model in (library.Draft, library.Secret):
        model.everything.filter(hidden=True).delete()  # which their managers hide
    for model in _models():
        _round(model)


def _models() -> list[type[models.Model]]:
    return [each for each in apps.get_models() if each._meta.app_label in APPLICATIONS]


def _round(model: type[models.Model]) -> None:
    """Cut what has microseconds to milliseconds."""
    fields = [
        field.name
        for field in model._meta.local_concrete_fields
        if isinstance(field, models.DateTimeField | models.TimeField)
    ]
    if not fields or model._meta.proxy:
        return
    for row in models.QuerySet(model).all():
        values = {name: _cut(getattr(row, name)) for name in fields}
        models.QuerySet(model).filter(pk=row.pk).update(**values)


def _cut(value: Any) -> Any:
    return None if value is None else value.replace(microsecond=value.microsecond // 1000 * 1000)
