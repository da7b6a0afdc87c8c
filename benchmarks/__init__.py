"""Diskette beside other tools, on the same data, in whole processes: `make benchmark`."""

from __future__ import annotations
