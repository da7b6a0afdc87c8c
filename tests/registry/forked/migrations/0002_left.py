from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("kiosk", "0001_root")]
