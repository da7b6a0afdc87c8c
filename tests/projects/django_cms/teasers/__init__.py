"""A plugin as every site has one of its own."""

from __future__ import annotations
