"""The statements that made SQLite's tables and indexes, which are all that its catalogue keeps.

Sources: https://sqlite.org/lang_createindex.html, https://sqlite.org/lang_createtable.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]"""
COMMENT = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
PIECE = re.compile(rf"({COMMENT})|({QUOTED}|\w+|.)", re.DOTALL)
ORDER = re.compile(r"\s+(?:ASC|DESC)\s*$", re.IGNORECASE)
WHERE = re.compile(r"\s*WHERE\b(.*)", re.IGNORECASE | re.DOTALL)
NAMED = re.compile(rf"\bCONSTRAINT\s+({QUOTED}|\w+)\s*\Z", re.IGNORECASE)


def index(statement: str) -> tuple[str, tuple[str, ...]]:
    """Condition, empty where there is none, and values of a CREATE INDEX."""
    pieces = _pieces(statement)
    begin = pieces.index("(")
    end = _closing(pieces, begin)
    condition = WHERE.match("".join(pieces[end + 1 :]))
    values = (ORDER.sub("", value).strip() for value in _listed(pieces[begin + 1 : end]))
    return condition[1].strip() if condition else "", tuple(values)


def checks(statement: str) -> Iterator[tuple[str, str]]:
    """Name, empty where it has none, and condition of each check in a CREATE TABLE."""
    pieces = _pieces(statement)
    for place, piece in enumerate(pieces):
        if piece.upper() == "CHECK":
            begin = pieces.index("(", place)
            condition = "".join(pieces[begin + 1 : _closing(pieces, begin)]).strip()
            named = NAMED.search("".join(pieces[:place]))
            yield _unquoted(named[1]) if named else "", condition


def _pieces(statement: str) -> list[str]:
    """Words, quoted strings and single characters; a blank for a comment."""
    return [piece or " " for _, piece in PIECE.findall(statement)]


def _closing(pieces: Sequence[str], begin: int) -> int:
    """Where the parenthesis ends that begins there."""
    depth = 0
    for place in range(begin, len(pieces)):
        depth += (pieces[place] == "(") - (pieces[place] == ")")
        if depth == 0:
            return place
    raise ValueError("".join(pieces))  # which SQLite would not have taken


def _listed(pieces: Sequence[str]) -> Iterator[str]:
    """What commas part, but for those in parentheses."""
    value, depth = "", 0
    for piece in pieces:
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth == 0:
            yield value
            value = ""
        else:
            value += piece
    yield value


def _unquoted(name: str) -> str:
    closing = {"[": "]"}.get(name[0], name[0])
    return name[1:-1].replace(closing * 2, closing) if name[0] in "'\"`[" else name
