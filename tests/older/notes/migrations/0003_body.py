from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_squashed_0002_text")]
    operations = [migrations.RenameField("note", "text", "body")]
