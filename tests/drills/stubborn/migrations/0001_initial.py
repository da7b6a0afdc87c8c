"""A migration of data that means the live database, and says so."""

from __future__ import annotations

from django.db import migrations, models


def begin_anew(apps, schema_editor) -> None:
    note = apps.get_model("stubborn", "Note")
    note.objects.using("default").all().delete()
    note.objects.using("default").create(name="of the migration")


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=50, unique=True)),
            ],
        ),
        migrations.CreateModel(
            "Remark",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("note", models.ForeignKey("stubborn.Note", on_delete=models.CASCADE)),
                ("text", models.CharField(max_length=50)),
            ],
        ),
        migrations.RunPython(begin_anew),
    ]
