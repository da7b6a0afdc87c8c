from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("store", "0001_initial")]
    operations = [
        migrations.RenameField("product", "name", "title"),
        migrations.AddField(
            "product", "stock", models.IntegerField(default=7), preserve_default=False
        ),
    ]
