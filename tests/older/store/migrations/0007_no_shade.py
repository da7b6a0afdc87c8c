from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("store", "0006_shades")]
    operations = [migrations.RemoveField("product", "shade")]
