from __future__ import annotations

from django.conf import settings
from django.db import migrations, models
from django.db.models import CASCADE

KEY = ("id", models.BigAutoField(primary_key=True, serialize=False))


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            "Product",
            [
                KEY,
                ("name", models.CharField(max_length=50)),
                ("price", models.DecimalField(max_digits=9, decimal_places=2)),
                ("shade", models.CharField(max_length=20)),
                (
                    "owner",
                    models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=CASCADE),
                ),
            ],
        ),
        migrations.CreateModel(
            "Customer",
            [
                KEY,
                ("full_name", models.CharField(max_length=60)),
                ("email", models.EmailField(max_length=254, unique=True)),
            ],
        ),
        migrations.CreateModel("Coupon", [KEY, ("code", models.CharField(max_length=9))]),
        migrations.CreateModel(
            "Order",
            [
                KEY,
                ("at", models.DateTimeField()),
                ("customer", models.ForeignKey("store.customer", on_delete=CASCADE)),
                ("products", models.ManyToManyField("store.product")),
            ],
        ),
        migrations.CreateModel(
            "Tag",
            [
                KEY,
                ("word", models.CharField(max_length=20)),
                ("object_id", models.IntegerField()),
                (
                    "content_type",
                    models.ForeignKey("contenttypes.contenttype", on_delete=CASCADE),
                ),
            ],
        ),
        migrations.AddConstraint(
            "tag",
            models.UniqueConstraint(
                fields=["word", "content_type", "object_id"], name="one_tag_for_each"
            ),
        ),
    ]
