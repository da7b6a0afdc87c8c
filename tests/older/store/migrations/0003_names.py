from __future__ import annotations

from django.db import migrations, models


def split(apps, _schema_editor):
    """As many are written: which database is meant is not said."""
    customers = apps.get_model("store", "Customer").objects
    for each in customers.all():
        each.first, _, each.last = each.full_name.partition(" ")
        each.save()


class Migration(migrations.Migration):
    dependencies = [("store", "0002_title")]
    operations = [
        migrations.AddField("customer", "first", models.CharField(max_length=30, default="")),
        migrations.AddField("customer", "last", models.CharField(max_length=30, default="")),
        migrations.RunPython(split, migrations.RunPython.noop),
        migrations.RemoveField("customer", "full_name"),
        migrations.AlterField("customer", "first", models.CharField(max_length=30)),
        migrations.AlterField("customer", "last", models.CharField(max_length=30)),
    ]
