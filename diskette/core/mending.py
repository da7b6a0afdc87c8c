"""Reading a damaged tar file to its end.

Where a header cannot be read, what should come next tells how long it and its content are, and
the reading goes on behind it. Whether the content is the right one, its digest has to say.
"""

from __future__ import annotations

from collections.abc import Callable

from diskette.core.checksum import Source
from diskette.core.exceptions import CutOff, ForeignArchive
from diskette.core.tar import BLOCK_BYTES, END, RECORD_BYTES, Header, TarReader

Note = Callable[[ForeignArchive, Header | None], object]
"""Told of each damage, and of the member whose header it hides."""


class MendingReader(TarReader):
    """Members in order, beyond damage. Raises ForeignArchive only where nothing can follow.

    `expected`: what should come next, to be asked at each damage; None: nothing more.
    """

    def __init__(
        self, source: Source, archive: str, expected: Callable[[], Header | None], note: Note
    ) -> None:
        self._ahead = _Ahead(source)
        super().__init__(self._ahead, archive)
        self._expected, self._note = expected, note
        self._is_named = False
        """Whether a long name was read, whose member comes next."""

    def _header(self) -> Header | None:
        is_named, self._is_named = self._is_named, False
        try:
            header = super()._header()
        except CutOff:
            raise
        except ForeignArchive as error:
            damage = error
        else:
            if header is not None or self._is_at_end():
                return header
            damage = self._damaged("zeros in place of a header")
        if (expected := self._expected()) is None:
            raise damage
        self._note(damage, expected)
        self._exactly(0 if is_named else len(expected.to_bytes()) - BLOCK_BYTES)
        return expected

    def _long_text(self, header: Header, before: dict[str, str]) -> str:
        self._is_named = True
        return super()._long_text(header, before)

    def _pass_padding(self) -> None:
        try:
            super()._pass_padding()
        except CutOff:
            raise
        except ForeignArchive as error:
            self._note(error, None)

    def _is_at_end(self) -> bool:
        """Whether a block of zeros ends the file: so it does where no more than zeros follow."""
        if self._expected() is None:
            return True
        following = self._ahead.peek(len(END) + RECORD_BYTES)
        return len(following) < len(END) + RECORD_BYTES and not any(following)


class _Ahead:
    """A source that can be looked into."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._waiting = b""

    def peek(self, size: int) -> bytes:
        while len(self._waiting) < size and (chunk := self._source.read(size - len(self._waiting))):
            self._waiting += chunk
        return self._waiting[:size]

    def read(self, size: int, /) -> bytes:
        if not self._waiting:
            return self._source.read(size)
        chunk, self._waiting = self._waiting[:size], self._waiting[size:]
        return chunk
