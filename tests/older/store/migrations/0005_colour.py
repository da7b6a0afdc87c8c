from __future__ import annotations

from django.db import migrations, models


def name_colours(apps, schema_editor):
    alias = schema_editor.connection.alias
    colours = apps.get_model("store", "Colour").objects.using(alias)
    for product in apps.get_model("store", "Product").objects.using(alias).order_by("pk"):
        product.colour, _ = colours.get_or_create(name=product.shade)
        product.save(using=alias)


class Migration(migrations.Migration):
    dependencies = [("store", "0004_purchase")]
    operations = [
        migrations.CreateModel(
            "Colour",
            [
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=20, unique=True)),
            ],
        ),
        migrations.AddField(
            "product",
            "colour",
            models.ForeignKey("store.colour", null=True, on_delete=models.PROTECT),
        ),
    ]
