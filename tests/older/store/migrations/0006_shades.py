from __future__ import annotations

from importlib import import_module

from django.db import migrations

name_colours = import_module("tests.older.store.migrations.0005_colour").name_colours


class Migration(migrations.Migration):
    dependencies = [("store", "0005_colour")]
    operations = [
        migrations.RunPython(name_colours, migrations.RunPython.noop),
    ]
