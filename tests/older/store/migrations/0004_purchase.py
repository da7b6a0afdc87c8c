from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("store", "0003_names")]
    operations = [
        migrations.DeleteModel("Coupon"),
        migrations.RenameModel("Order", "Purchase"),
        migrations.RenameField("purchase", "products", "items"),
    ]
