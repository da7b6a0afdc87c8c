"""A plugin: everything here hangs on the kiosk."""

from __future__ import annotations

from django.db import models

from tests.registry.kiosk.models import Offer

# ruff: noqa: DJ008 - no one looks at these rows: there are none


class GiftOffer(Offer):
    """A grandchild."""


class Card(models.Model):
    gift = models.ForeignKey(GiftOffer, models.CASCADE)
