"""Loads killed at random instants of their `apply`, and what each left behind."""

from __future__ import annotations
