"""The proof after a load: the live rows digested again, as a dump of them would be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from diskette import registry
from diskette.core.manifest import ModelEntry
from diskette.core.report import Finding
from diskette.data import findings
from diskette.data.contrast import Contrast, contrast
from diskette.data.dump import Tick, digest_model


def verify(entry: ModelEntry, member: Path, *, using: str, tick: Tick) -> list[Finding]:
    """How the live table differs from what the manifest promises; nothing: it does not.

    Where it does, the rows are compared with the archive's `member`, and some are named. Only
    after a load that replaced: merged tables have no digest of their own.
    """
    model = registry.find_model(entry.model)
    if model is None:
        return []
    rows, digest = digest_model(
        model,
        using=using,
        natural_foreign=entry.natural_foreign,
        natural_primary=not entry.primary_key,
        by_value=entry.by_value,
        tick=tick,
    )
    found = findings.differences(entry, rows, digest, where=f"the database {using}")
    if found:
        differing = contrast(entry, member, model, using=using, tick=tick)
        found = [_with_sample(each, differing) for each in found]
    return found


def _with_sample(finding: Finding, differing: Contrast) -> Finding:
    fields = ", ".join(differing.fields)
    where = f" Rows differ in {fields}." if fields else ""
    return replace(
        finding,
        message=finding.message + where,
        objects=differing.objects,
        field=fields or None,
    )
