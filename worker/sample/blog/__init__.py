"""A blog: articles, tags, comments on anything."""

from __future__ import annotations
