"""The lines of each table, gathered into members of the archive while fixtures are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from diskette.core.checksum import Tally
from diskette.core.frames import LEVEL
from diskette.core.manifest import MemberEntry, ModelEntry
from diskette.data import lines
from diskette.original.rows import ConvertedRow

MOST_WAITING = 1 << 22
"""Bytes of lines that wait to be squeezed, of all tables together."""
FRAME_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True)
class Part:
    """One table's lines, of one fixture."""

    model: str
    """Label."""
    table: str
    path: Path
    fixture: str
    rows: int = 0
    raw_bytes: int = 0
    digest: int = 0
    keyless: int = 0
    names: Counter[str] = field(default_factory=Counter)
    named: set[str] = field(default_factory=set)
    numbered: set[str] = field(default_factory=set)
    waiting: list[bytes] = field(default_factory=list)
    waiting_bytes: int = 0
    tally: Tally = field(default_factory=Tally)

    def add(self, row: ConvertedRow) -> None:
        self.rows += 1
        self.digest += row.digest
        self.keyless += not row.has_key
        self.names.update(row.names)
        self.named.update(row.named)
        self.numbered.update(row.numbered)
        self.waiting.append(row.line)
        self.waiting_bytes += len(row.line) + 1

    def squeeze(self) -> None:
        """Write what waits. Frames follow one another, so nothing is kept open in between."""
        if self.waiting or not self.tally.bytes:
            text = b"".join(line + b"\n" for line in self.waiting)
            frame = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(text)
            with self.path.open("ab") as stream:
                stream.write(frame)
            self.tally.write(frame)
            self.raw_bytes += len(text)
            self.waiting.clear()
            self.waiting_bytes = 0

    def entry(self, member: str, fields: tuple[str, ...], key: str) -> ModelEntry:
        """How the manifest has it, under that name. `fields`: those of the table, in order."""
        written = self.tally.close()
        return ModelEntry(
            model=self.model,
            table=self.table,
            member=MemberEntry(name=member, bytes=written.size, sha256=written.hex),
            rows=self.rows,
            raw_bytes=self.raw_bytes,
            digest=lines.digest_hex(self.digest),
            fields=self._fields(fields),
            primary_key="" if self.keyless else key,
            natural_foreign=bool(self.named),
            by_value=tuple(sorted(self.numbered)) if self.named else (),
        )

    def _fields(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """Those that every row has, for the table's fields in the table's order."""
        if not self.rows:
            return fields
        everywhere = [name for name, rows in self.names.items() if rows == self.rows]
        known = [name for name in fields if name in everywhere]
        return (*known, *(name for name in everywhere if name not in fields))
