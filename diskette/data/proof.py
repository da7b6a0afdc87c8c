"""The rows of an archive, digested where they lie: no database is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from diskette import conf, registry
from diskette.core.checksum import Source
from diskette.core.exceptions import ArchiveError
from diskette.core.frames import frames_of
from diskette.core.manifest import ModelEntry
from diskette.core.report import Finding
from diskette.data import findings, lines, tables
from diskette.data.codec import codec

Tick = Callable[[int], None]
Digest = Callable[[bytes], int]

CHANGED_HINT = (
    "The member is as it was written: either the fields of this model are of other kinds in this "
    "project now, or the dump itself went wrong. Make a new dump."
)


def prove(
    entry: ModelEntry, member: Callable[[], Source], *, archive: str, tick: Tick
) -> list[Finding]:
    """How the rows of a whole member differ from what the manifest promises.

    How a row is digested its model's fields say. Where it is not installed, or has others now,
    a digest that does not fit says nothing, and is passed over. `member` opens it anew. Ticks
    the bytes of lines. Raises ArchiveError for what are no rows.
    """
    model = registry.find_model(entry.model)
    has_its_fields = model is not None and tables.has_fields(model, entry.fields)
    digest_of = codec(model, using=conf.database()).digest if model else lines.row_digest
    count, total = _read(entry, member(), archive, digest_of, tick)
    if count == entry.rows and total != entry.digest:
        _, plain = _read(entry, member(), archive, lines.row_digest, lambda _: tick(0))
        total = entry.digest if plain == entry.digest or not has_its_fields else total
    found = findings.differences(entry, count, total, where="the archive")
    return [replace(each, hint=CHANGED_HINT) for each in found]


def _read(
    entry: ModelEntry, member: Source, archive: str, digest_of: Digest, tick: Tick
) -> tuple[int, str]:
    """How many rows there are, and their digest."""
    count = total = 0
    with frames_of(member, archive=archive, name=entry.member.name) as frames:
        for line in frames.lines(entry.raw_bytes):
            count += 1
            try:
                total += digest_of(line)
            except ValueError as error:
                why = f"line {count:,} of {entry.member.name} is no row ({error})."
                raise ArchiveError(archive, why) from error
            tick(len(line) + 1)
    return count, lines.digest_hex(total)
