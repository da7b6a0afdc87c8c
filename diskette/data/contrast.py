"""Which rows differ, where a table's digest says that some do.

Rows are dealt into buckets by their key, and each bucket is summed on both sides; of the
buckets that differ a few are read again. So the largest table is compared in little memory,
and in no particular order.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from django.db.models import Model

from diskette.core.manifest import ModelEntry
from diskette.core.report import JSON
from diskette.data import lines
from diskette.data.codec import ModelCodec, codec
from diskette.data.engines.reading import Condition, Page
from diskette.data.intake import Tick, lines_of
from diskette.data.writer import EVERYTHING

BUCKETS = 1024
SEARCHED = 8
"""Buckets that are read again."""
SAMPLE = 10
_KEY, _FIELDS = b'"pk":', b',"fields":{'


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Rows of an archive and of a table that are not the same."""

    objects: tuple[JSON, ...]
    """Primary keys of some of them."""
    fields: tuple[str, ...]
    """In which those differ that both sides have."""


class _Row(NamedTuple):
    key: bytes
    """The primary key, as JSON; the digest where the row came without."""
    line: bytes
    digest: int

    @property
    def bucket(self) -> int:
        return zlib.crc32(self.key) % BUCKETS


Rows = Callable[[], Iterator[_Row]]


def contrast(
    entry: ModelEntry,
    member: Path,
    model: type[Model],
    *,
    using: str,
    condition: Condition = EVERYTHING,
    tick: Tick,
) -> Contrast:
    """Compare a member of an archive with live rows, row by row."""
    reader = codec(
        model,
        using=using,
        natural_foreign=entry.natural_foreign,
        natural_primary=not entry.primary_key,
        by_value=entry.by_value,
    )
    return _contrast(lambda: _archived(reader, member), lambda: _live(reader, condition, tick))


def _contrast(archived: Rows, live: Rows) -> Contrast:
    sums = _sums(archived)
    sums.subtract(_sums(live))
    searched = sorted(bucket for bucket, total in sums.items() if total)[:SEARCHED]
    there, here = _found(archived, searched), _found(live, searched)
    differing = [
        key
        for key in {**there, **here}
        if key not in there or key not in here or there[key].digest != here[key].digest
    ]
    fields = {
        name: None
        for key in differing
        if key in there and key in here
        for name in _differing_fields(there[key].line, here[key].line)
    }
    keyed = [key for key in sorted(differing) if not key.startswith(b"#")]
    return Contrast(objects=tuple(map(json.loads, keyed[:SAMPLE])), fields=tuple(sorted(fields)))


def _sums(rows: Rows) -> Counter[int]:
    found: Counter[int] = Counter()
    for row in rows():
        found[row.bucket] += row.digest
    return found


def _found(rows: Rows, buckets: Collection[int]) -> dict[bytes, _Row]:
    return {row.key: row for row in rows() if row.bucket in buckets}


def _archived(reader: ModelCodec, member: Path) -> Iterator[_Row]:
    for line in lines_of(member):
        _, _, digest = reader.read(line)
        yield _row(line, digest)


def _live(reader: ModelCodec, condition: Condition, tick: Tick) -> Iterator[_Row]:
    with closing(cast("Generator[Page]", reader.writer.pages(condition))) as pages:
        for page in pages:
            tick(0)
            for line, canonical in zip(*reader.writer.spell(page), strict=True):
                yield _row(line, lines.row_digest(canonical))


def _row(line: bytes, digest: int) -> _Row:
    start, end = line.find(_KEY), line.find(_FIELDS)
    key = line[start + len(_KEY) : end] if 0 <= start < end else b"#%x" % digest
    return _Row(key, line, digest)


def _differing_fields(one: bytes, other: bytes) -> list[str]:
    first, second = (
        json.loads(line.decode("utf-8", "surrogatepass"))["fields"] for line in (one, other)
    )
    return [name for name in {**first, **second} if first.get(name) != second.get(name)]
