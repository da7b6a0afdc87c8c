"""What backups are for: an accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import F
from humanize import intcomma

from worker.sample.blog.models import Tag
from worker.sample.shop.models import Order, Product


class Command(BaseCommand):
    help = "Do harm to this sample site: delete orders, change prices, lose and overwrite files."

    def handle(self, **_: Any) -> None:
        with transaction.atomic():
            lost = list(Order.objects.values_list("pk", flat=True)[::2])
            orders, _each = Order.objects.filter(pk__in=lost).delete()
            prices = Product._base_manager.update(price=F("price") * 2)  # noqa: SLF001
            Tag.objects.create(name="made by the accident")
        pictures = sorted(Path(settings.MEDIA_ROOT).rglob("*.jpg"))
        for path in pictures[::2]:
            path.unlink()
        for path in pictures[1::2]:
            path.write_bytes(b"overwritten")
        self.stdout.write(
            f"{intcomma(orders)} rows of orders deleted, {intcomma(prices)} prices doubled, "
            f"{len(pictures)} pictures lost or overwritten"
        )
