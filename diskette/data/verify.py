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
from diskette.data.engines.reading import Condition
from diskette.data.writer import EVERYTHING


def verify(
    entry: ModelEntry,
    member: Path,
    *,
    using: str,
    condition: Condition = EVERYTHING,
    tick: Tick,
) -> list[Finding]:
    """How the live rows differ from what the manifest promises; nothing: they do not.

    Where they do, they are compared with the archive's `member`, and some are named.
    `condition`: which rows, where the table has others besides, as after a merge.
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
        condition=condition,
        tick=tick,
    )
    found = findings.differences(entry, rows, digest, where=f"the database {using}")
    if found:
        differing = contrast(entry, member, model, using=using, condition=condition, tick=tick)
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
