from typing import Any

from django.db import migrations, models
from django.db.models import F


def approve_those_there_are(apps: Any, schema_editor: Any) -> None:
    """A load that is under way goes on: it was approved when it was started."""
    loads = apps.get_model("diskette", "Run").objects.using(schema_editor.connection.alias)
    loads.filter(kind="load", approved_at=None).update(
        approved_at=F("created_at"), expires_at=F("created_at"), used_at=F("started_at")
    )


class Migration(migrations.Migration):

    dependencies = [
        ('diskette', '0006_sightings'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='run',
            options={'ordering': ['-created_at'], 'permissions': [('drill_archive', 'Can drill archives'), ('dump_archive', 'Can dump archives'), ('load_archive', 'Can load archives'), ('prune_archive', 'Can prune archives')]},
        ),
        migrations.AddField(
            model_name='run',
            name='approved_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='expires_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='used_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RunPython(approve_those_there_are, migrations.RunPython.noop),
    ]
