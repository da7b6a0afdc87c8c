"""A gallery: files of many kinds, ordered in albums."""

from __future__ import annotations
