"""Storages of very many files, and of one very large file, through the real commands."""

from __future__ import annotations
