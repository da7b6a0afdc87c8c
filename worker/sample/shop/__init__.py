"""A shop: products, customers, orders."""

from __future__ import annotations
