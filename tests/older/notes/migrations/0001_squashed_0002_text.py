from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    replaces = [("notes", "0001_initial"), ("notes", "0002_text")]
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("text", models.TextField()),
            ],
        ),
    ]
