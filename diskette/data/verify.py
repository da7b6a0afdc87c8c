"""The proof after a load: the live rows digested again, as a dump of them would be."""

from __future__ import annotations

from diskette import registry
from diskette.core.manifest import ModelEntry
from diskette.core.report import Finding
from diskette.data import findings
from diskette.data.dump import Tick, digest_model


def verify(entry: ModelEntry, *, using: str, tick: Tick) -> list[Finding]:
    """How the live table differs from what the manifest promises; nothing: it does not.

    Only after a load that replaced: merged tables have no digest of their own.
    """
    model = registry.find_model(entry.model)
    if model is None:
        return []
    rows, digest = digest_model(
        model,
        using=using,
        natural_foreign=entry.natural_foreign,
        natural_primary=not entry.primary_key,
        tick=tick,
    )
    return findings.differences(entry, rows, digest, where=f"the database {using}")
