"""Tables into members of an archive: one line a row, compressed as it goes, memory flat.

Rows come from one model's own table, by primary key. Parents' fields, many-to-many pairs
and children are rows of their own tables and their own members.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from django.db import OperationalError, ProgrammingError
from django.db.models import Model
from zstandard import ZstdCompressor

from diskette.core.exceptions import ConfigurationError
from diskette.core.frames import LEVEL, OneFrame
from diskette.core.relay import Relay
from diskette.core.report import Finding, Severity
from diskette.data import lines
from diskette.data.codec import codec
from diskette.data.engines.reading import Condition, Estimate, Page, reading_of
from diskette.data.findings import rows as counted
from diskette.data.writer import EVERYTHING, LineWriter, Unreadable

Tick = Callable[[int], None]
"""Called with how many more rows are done; raises Stopped when the work must end."""

SAMPLE_ROWS = 200
SAMPLE_BYTES = 1 << 20

_NO_TABLE = re.compile(r"no such (table|column)|does not exist|doesn't exist|Unknown column")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPart:
    """One table as a member of the archive to be."""

    model: str
    """Label as Django spells it."""
    table: str
    rows: int
    raw_bytes: int
    """Bytes of the lines before compression."""
    bytes: int
    sha256: str
    """Of the compressed file."""
    digest: str
    """Row digest: independent of row order and of the engine."""
    fields: tuple[str, ...]
    primary_key: str
    """Its field's name, or "" where rows are written without their key."""
    natural_foreign: bool
    """Whether foreign keys stand as natural keys."""
    hidden: int
    """Rows that the manager asked for does not show, hence not dumped."""
    findings: tuple[Finding, ...] = ()
    """Values that are none of their field's: dumped as they are, refused by a load."""


@dataclass(slots=True)
class _Total:
    rows: int = 0
    bytes: int = 0
    digest: int = 0


def dump_model(
    model: type[Model],
    target: Path,
    *,
    using: str,
    natural_foreign: bool = False,
    natural_primary: bool = False,
    default_manager: bool = False,
    tick: Tick,
) -> ModelPart:
    """Write a table's rows to `target`, a .jsonl.zst file that stays only if it is whole.

    `default_manager`: only the rows that the model's default manager shows.
    """
    chosen = codec(
        model,
        using=using,
        natural_foreign=natural_foreign,
        natural_primary=natural_primary and hasattr(model, "natural_key"),
    )
    writer = chosen.writer
    shown = writer.reading.visible() if default_manager else EVERYTHING
    with _told(model, using), _file(target) as stream, Relay(OneFrame(stream)) as member:
        total = _write(writer, member, shown, tick)
        hidden = writer.reading.count() - total.rows if default_manager else 0
        written = member.close()
    return ModelPart(
        model=model._meta.label,
        table=model._meta.db_table,
        rows=total.rows,
        raw_bytes=total.bytes,
        bytes=written.size,
        sha256=written.hex,
        digest=lines.digest_hex(total.digest),
        fields=tuple(column.name for column in writer.fields),
        primary_key=str(model._meta.pk.name) if writer.has_key else "",
        natural_foreign=natural_foreign,
        hidden=hidden,
        findings=tuple(_finding(model, each) for each in writer.unreadable.values()),
    )


def digest_model(
    model: type[Model],
    *,
    using: str,
    natural_foreign: bool = False,
    natural_primary: bool = False,
    by_value: Collection[str] = (),
    condition: Condition = EVERYTHING,
    tick: Tick,
) -> tuple[int, str]:
    """Rows and row digest of a live table, as a dump of it would say.

    `natural_primary`: of rows without their keys. `by_value`: references that stand as they are
    with `natural_foreign`, too. `condition`: which rows.
    """
    chosen = codec(
        model,
        using=using,
        natural_foreign=natural_foreign,
        natural_primary=natural_primary,
        by_value=by_value,
    )
    with _told(model, using):
        total = _write(chosen.writer, None, condition, tick)
    return total.rows, lines.digest_hex(total.digest)


def estimate(models: Sequence[type[Model]], using: str) -> dict[str, Estimate]:
    """By label, roughly what the tables hold: for progress and for room, not for proof."""
    return reading_of(using).estimate(models, using) if models else {}


def packed(model: type[Model], *, using: str, natural_foreign: bool, natural_primary: bool) -> int:
    """Roughly the bytes of the member of `dump_model`, after its first and last rows."""
    chosen = codec(
        model, using=using, natural_foreign=natural_foreign, natural_primary=natural_primary
    )
    rows = estimate([model], using)[model._meta.label].rows
    with _told(model, using):
        sample = _sample(chosen.writer) if rows else []
    squeezed = len(ZstdCompressor(level=LEVEL).compress(b"\n".join([*sample, b""])))
    return max(squeezed, squeezed * rows // max(1, len(sample)))


def _sample(writer: LineWriter) -> list[bytes]:
    sample, taken = list[bytes](), 0
    pages = writer.pages(writer.reading.ends(SAMPLE_ROWS))
    with closing(cast("Generator[Page]", pages)):
        for page in pages:
            written, _ = writer.spell(page)
            sample += written
            taken += sum(map(len, written))
            if taken > SAMPLE_BYTES:
                break
    return sample


def _write(writer: LineWriter, sink: Relay | None, condition: Condition, tick: Tick) -> _Total:
    total = _Total()
    with closing(cast("Generator[Page]", writer.pages(condition))) as pages:
        for page in pages:
            written, canonical = writer.spell(page)
            total.digest += sum(map(lines.row_digest, canonical))
            chunk = b"\n".join([*written, b""])
            if sink is not None:
                sink.write(chunk)
            total.rows += len(written)
            total.bytes += len(chunk)
            tick(len(written))
    return total


@contextmanager
def _file(target: Path) -> Iterator[BinaryIO]:
    """A file that is on the disk when the block is left; removed where it fails."""
    try:
        with target.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextmanager
def _told(model: type[Model], using: str) -> Iterator[None]:
    """Say what to do where the table is not as the model says."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        if not _NO_TABLE.search(str(error)):
            raise
        raise ConfigurationError(
            f"{model._meta.label}: database {using!r} has no such table or column "
            f"({str(error).splitlines()[0]}). Run `manage.py migrate --database {using}`, or leave "
            "the model out of DISKETTE_APPS."
        ) from error


def _finding(model: type[Model], unreadable: Unreadable) -> Finding:
    label, field = model._meta.label, unreadable.field
    return Finding(
        code="value-out-of-range",
        severity=Severity.WARNING,
        message=f"{label}.{field} holds in {counted(unreadable.count)} (primary key "
        f"{', '.join(unreadable.keys)}) what its field cannot read: {unreadable.why}. It is dumped "
        "as it is, and a load will refuse it.",
        hint="Correct these values in the database, then dump again.",
        model=label,
        field=field,
        objects=tuple(unreadable.keys),
        count=unreadable.count,
    )
