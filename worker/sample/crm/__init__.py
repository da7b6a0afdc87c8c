"""Customer relations: companies and people, what was agreed, what was said."""

from __future__ import annotations
