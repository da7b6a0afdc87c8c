"""The site in worker/ with the awkward library, for tests whose processes are killed."""

from __future__ import annotations
