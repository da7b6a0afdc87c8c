"""Dumps and loads in turn while faults strike at random: `make soak MINUTES=60`."""

from __future__ import annotations
