from __future__ import annotations

from importlib import import_module

from django.db import migrations

TITLE = import_module("tests.older.store.migrations.0002_title").Migration
NAMES = import_module("tests.older.store.migrations.0003_names").Migration


class Migration(migrations.Migration):
    """Its parts are still there: some sites have gone through the first only."""

    replaces = [("store", "0002_title"), ("store", "0003_names")]
    dependencies = [("store", "0001_initial")]
    operations = [*TITLE.operations, *NAMES.operations]
