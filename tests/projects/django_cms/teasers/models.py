"""A plugin with a picture, pages and rows of its own."""

from __future__ import annotations

from cms.models import CMSPlugin, Page
from django.db import models
from filer.fields.image import FilerImageField


class Teaser(CMSPlugin):
    title = models.CharField(max_length=120)
    picture = FilerImageField(on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    pages = models.ManyToManyField(Page, blank=True, related_name="+")

    def copy_relations(self, old_instance):
        """Django CMS copies a plugin's own columns; the rest is the plugin's to copy."""
        self.pages.set(old_instance.pages.all())
        for row in old_instance.rows.all():
            Row.objects.create(teaser=self, label=row.label, price=row.price)

    def __str__(self):
        return self.title


class Row(models.Model):
    teaser = models.ForeignKey(Teaser, on_delete=models.CASCADE, related_name="rows")
    label = models.CharField(max_length=80)
    price = models.DecimalField(max_digits=9, decimal_places=3)

    def __str__(self):
        return self.label
