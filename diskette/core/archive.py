"""The archive: a tar file of a manifest and the members it promises. Shape: docs/archive.md.

Every archive is hostile until checked. It is read by our own strict reader (diskette.core.tar),
only regular members that the manifest names are accepted, each of the size and SHA-256
promised there, and whatever is wrong with a file ends as an ArchiveError. The last member,
SHA256SUMS, guards the manifest itself and lets `sha256sum -c` check all of it by hand.
Reading never changes an archive.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import humanize

from diskette.core.checksum import (
    CHUNK_BYTES,
    Digest,
    Sink,
    Source,
    Tally,
    Tick,
    copy_with_digest,
    uncounted,
)
from diskette.core.exceptions import (
    ArchiveError,
    ArchiveNotFound,
    ChecksumMismatch,
    ForeignArchive,
    MemberMissing,
    UnsafeMember,
    UnsupportedFormat,
)
from diskette.core.files import PRIVATE_DIRECTORY, printable, private_file, sync_directory
from diskette.core.manifest import MANIFEST_NAME, Manifest, MemberEntry
from diskette.core.mending import MendingReader
from diskette.core.naming import candidates
from diskette.core.relay import Aside
from diskette.core.report import Finding, Severity
from diskette.core.space import disk_errors_named, named
from diskette.core.tar import BLOCK_BYTES, Header, Kind, TarReader

SUMS_NAME = "SHA256SUMS"
LARGEST_MANIFEST = 64 << 20
SAMPLE = 20
"""So many members are named in a finding about more."""
MOST_FINDINGS = 100
"""Of members that are damaged or should not be there; more are only counted."""

_OTHER_FILES = {
    b"\x1f\x8b": "a gzip file. Decompress it first (gunzip)",
    b"PK": "a zip file. Take the archive out of it first (unzip)",
    b"\x28\xb5\x2f\xfd": "a Zstandard file. Decompress it first (zstd -d)",
    b"age-encryption.org/": "encrypted. Decrypt it first (age -d)",
    b"BZh": "a bzip2 file. Decompress it first (bunzip2)",
    b"\xfd7zXZ": "an xz file. Decompress it first (unxz)",
}
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}

_FETCH_AGAIN = "Fetch it again or use another one."


def sums_of(manifest: Manifest, raw: bytes) -> bytes:
    """The content of SHA256SUMS, for the manifest as it is written: as `sha256sum` prints it."""
    digests = {MANIFEST_NAME: hashlib.sha256(raw).hexdigest()}
    digests |= {member.name: member.sha256 for member in manifest.members}
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()


def publish(partial: Path, final: Path) -> Path:
    """Give a synced archive its name, or that with -2, -3… where it is taken. Returns its path.

    Nothing is ever overwritten, and a repetition after a kill finds what the first one did.
    """
    with disk_errors_named(final.parent):
        for name in candidates(final.name):
            place = final.with_name(name)
            if _linked(partial, place):
                break
        sync_directory(place.parent)
    return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What became of an archive, every byte of which was read."""

    findings: tuple[Finding, ...]
    whole: frozenset[str]
    """Names of the members that are as promised."""
    places: Mapping[str, int]
    """Where the content of each promised member begins that there is any of."""
    digest: Digest | None
    """Of the file as a whole, if all of it is as promised."""


class ArchiveReader:
    """An archive opened for reading. Raises ArchiveError, or StorageError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._stream = _opened(path)
        try:
            self.size = os.fstat(self._stream.fileno()).st_size
            raw = self._read_manifest()
            self.manifest = Manifest.from_bytes(raw, archive=self.name)
            self._promised = _promised(self.manifest, raw)
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def verify(self, tick: Tick = uncounted) -> list[Finding]:
        """Read every byte, and say of everything that is not as promised.

        Ticks the bytes of members. Nothing found means: this archive is whole. Damage hides
        nothing that comes after it, as long as the file goes on.
        """
        return list(self.survey(tick).findings)

    def verify_and_digest(self, tick: Tick = uncounted) -> tuple[list[Finding], Digest | None]:
        """The same, and what the file as a whole holds; nothing of that unless all is well."""
        survey = self.survey(tick)
        return list(survey.findings), survey.digest

    def survey(self, tick: Tick = uncounted) -> Survey:
        """The same, and which members are whole."""
        self._stream.seek(0)
        whole = Tally()
        checking, waiting = _Checking(self.name, self._promised), _Waiting(self._promised)
        with Aside() as digesting:
            source = _Read(self._stream, self.path, whole)
            broken = self._read_all(source, checking, waiting, digesting, tick)
            digesting.finish()
        findings = (*checking.done(), *broken)
        return Survey(
            findings=findings,
            whole=frozenset(checking.whole),
            places=waiting.places,
            digest=None if findings else whole.close(),
        )

    def _read_all(
        self,
        source: Source,
        checking: _Checking,
        waiting: _Waiting,
        digesting: Aside,
        tick: Tick,
    ) -> list[Finding]:
        """Damage between members, and what ends the reading; what members are is noted aside."""
        found: list[Finding] = []

        def note(error: ArchiveError, hidden: Header | None) -> None:
            if len(found) < MOST_FINDINGS:
                keys = (printable(hidden.name),) if hidden else ()
                found.append(_finding(error.code, str(error), keys))

        reader = MendingReader(source, self.name, waiting.next, note)
        try:
            for header in reader:
                waiting.take(header.name, reader.offset)
                member = Tally()
                while chunk := reader.read(CHUNK_BYTES):
                    digesting.do(member.write, chunk, weight=len(chunk))
                    tick(len(chunk))
                digesting.do(checking.note, header, member)
        except ArchiveError as error:
            note(error, None)
        return found

    def is_disowned(self, survey: Survey) -> bool:
        """Whether SHA256SUMS is there and was made of another manifest.

        Where it was cut off, nothing speaks against the manifest.
        """
        if SUMS_NAME in survey.whole or SUMS_NAME not in survey.places:
            return False
        sums = self.content(SUMS_NAME, survey.places)
        text = b"".join(iter(lambda: sums.read(CHUNK_BYTES), b""))
        return f"{self._promised[MANIFEST_NAME].sha256}  {MANIFEST_NAME}\n".encode() not in text

    def check_structure(self) -> None:
        """Raise ArchiveError unless every member is there, whole and safe, by size alone."""
        self.places()

    def content(self, name: str, places: Mapping[str, int] | None = None) -> Source:
        """One member, to be read from its beginning while this archive is open.

        Its digest is not looked at: for readers that check what they read by themselves. With the
        `places` of a survey, of a damaged archive too; then it may end before its end.
        """
        places = self.places() if places is None else places
        if name not in places:
            raise MemberMissing(self.name, name)
        place, size = places[name], self._promised[name].bytes
        return Content(self._stream.fileno(), self.path, place, size)

    def extract(
        self,
        names: Sequence[str],
        directory: Path,
        tick: Tick = uncounted,
        places: Mapping[str, int] | None = None,
    ) -> dict[str, Path]:
        """Copy members beneath `directory`, comparing digests. Returns each name's file.

        A file has its name only once it is whole. Raises ChecksumMismatch, MemberMissing,
        UnsafeMember or ForeignArchive; InsufficientSpace.
        """
        places = self.places() if places is None else places
        if unknown := [name for name in names if name not in places]:
            raise MemberMissing(self.name, unknown[0])
        return {
            name: self._extract(self._promised[name], places[name], directory, tick)
            for name in names
        }

    def _read_manifest(self) -> bytes:
        reader = TarReader(_Read(self._stream, self.path), self.name)
        try:
            header = next(iter(reader), None)
        except ForeignArchive as error:
            raise self._foreign() from error
        if header is None or header.name != MANIFEST_NAME or header.kind != Kind.FILE:
            why = (
                f"a tar file, but not one of Diskette's: {MANIFEST_NAME} is not its first member. "
                "`manage.py diskette_list` lists those that are."
            )
            raise ForeignArchive(self.name, why)
        if header.size > LARGEST_MANIFEST:
            size = humanize.naturalsize(header.size)
            why = f"its manifest claims to be of {size}; none is larger than 64 MB. Do not load it."
            raise ForeignArchive(self.name, why)
        return b"".join(iter(lambda: reader.read(header.size), b""))

    def _foreign(self) -> ArchiveError:
        """What the file is instead, as far as its first bytes tell."""
        self._stream.seek(0)
        start = self._stream.read(BLOCK_BYTES)
        if not start:
            return ForeignArchive(self.name, f"it is empty. {_FETCH_AGAIN}")
        for magic, what in _OTHER_FILES.items():
            if start.startswith(magic):
                return UnsupportedFormat(self.name, f"it is {what}.")
        if len(start) < BLOCK_BYTES:
            return ForeignArchive(
                self.name, f"it is cut off after {len(start)} bytes. {_FETCH_AGAIN}"
            )
        return ForeignArchive(
            self.name, f"it is no tar file, or damaged from the start. {_FETCH_AGAIN}"
        )

    def places(self) -> dict[str, int]:
        """Where the content of each promised member begins.

        Raises for anything missing, of another size, or not promised, and for a manifest that
        is not the one which SHA256SUMS was made of.
        """
        self._stream.seek(0)
        reader = TarReader(_Read(self._stream, self.path), self.name)
        checking = _Checking(self.name, self._promised)
        places = {}
        for header in reader:
            if objection := checking.objection(header):
                raise UnsafeMember(self.name, printable(header.name), objection)
            self._require_size(header)
            places[header.name] = reader.offset
            if reader.offset + header.size > self.size:
                raise self._cut_off(header.name)
            self._stream.seek(reader.skipped(), os.SEEK_CUR)
        if missing := [name for name in self._promised if name not in places]:
            raise MemberMissing(self.name, missing[0])
        for name in (MANIFEST_NAME, SUMS_NAME):
            self._copy(self._promised[name], places[name], Tally(), uncounted)
        return places

    def _require_size(self, header: Header) -> None:
        member = self._promised[header.name]
        if header.size != member.bytes:
            raise ForeignArchive(self.name, f"{wrong_size(member, header.size)} {_FETCH_AGAIN}")

    def _extract(self, member: MemberEntry, place: int, directory: Path, tick: Tick) -> Path:
        target = directory / member.name
        partial = target.with_name(f".{target.name}.partial")
        with disk_errors_named(directory, needed=member.bytes):
            target.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            with private_file(partial, synced=False) as stream:
                self._copy(member, place, stream, tick)
            partial.replace(target)
        return target

    def _copy(self, member: MemberEntry, place: int, target: Sink, tick: Tick) -> None:
        self._stream.seek(place)
        source = _Read(self._stream, self.path)
        found = copy_with_digest(source, target, tick=tick, at_most=member.bytes)
        _require(member, found, self.name)

    def _cut_off(self, member: str) -> ForeignArchive:
        why = (
            f"it is cut off: it ends after {self.size:,} bytes, in the middle of "
            f"{printable(member)}. {_FETCH_AGAIN}"
        )
        return ForeignArchive(self.name, why)


class _Read:
    """Reads a file that may lie on a failing disk, and may tally what it reads."""

    def __init__(self, stream: BinaryIO, path: Path, tally: Sink | None = None) -> None:
        self._stream, self._path, self._tally = stream, path, tally

    def read(self, size: int, /) -> bytes:
        try:
            chunk = self._stream.read(size)
        except OSError as error:
            raise named(error, self._path) from error
        if self._tally is not None:
            self._tally.write(chunk)
        return chunk


class Content:
    """A part of a file, read without moving the file's own position."""

    def __init__(self, opened: int, path: Path, place: int, size: int) -> None:
        self._opened, self._path, self._place, self._left = opened, path, place, size

    def read(self, size: int, /) -> bytes:
        try:
            chunk = os.pread(self._opened, min(size, self._left), self._place)
        except OSError as error:
            raise named(error, self._path) from error
        self._place += len(chunk)
        self._left -= len(chunk)
        return chunk


class _Waiting:
    """The members that are still to come, in the order in which they are written."""

    def __init__(self, promised: Mapping[str, MemberEntry]) -> None:
        self._left = dict(promised)
        self.places: dict[str, int] = {}
        """Where the contents of those begin that have come."""

    def next(self) -> Header | None:
        member = next(iter(self._left.values()), None)
        return Header(name=member.name, size=member.bytes) if member else None

    def take(self, name: str, place: int) -> None:
        if self._left.pop(name, None) is not None:
            self.places[name] = place


class _Checking:
    """Compares members, one by one, with what the manifest promises."""

    def __init__(self, archive: str, promised: Mapping[str, MemberEntry]) -> None:
        self.findings: list[Finding] = []
        self.whole: set[str] = set()
        """Names of members that are as promised."""
        self._more = 0
        self._archive = archive
        self._promised = promised
        self._seen: set[str] = set()

    def objection(self, header: Header) -> str:
        """Why a member must not be there; empty if it may."""
        if header.kind != Kind.FILE:
            return f"is {header.kind_name}"
        if header.name not in self._promised:
            return "is not named in the manifest"
        if header.name in self._seen:
            return "comes twice"
        self._seen.add(header.name)
        return ""

    def note(self, header: Header, tally: Tally) -> None:
        problem = self._problem(header, tally.close())
        if problem and len(self.findings) < MOST_FINDINGS:
            self.findings.append(problem)
        elif problem:
            self._more += 1
        else:
            self.whole.add(header.name)

    def done(self) -> list[Finding]:
        if self._more:
            message = f"{self._archive}: {self._more:,} more members are damaged or unsafe."
            self.findings.append(_finding(UnsafeMember.code, message, count=self._more))
        if missing := [name for name in self._promised if name not in self._seen]:
            error = MemberMissing(self._archive, missing[0])
            more = f" So are {len(missing) - 1} more." if len(missing) > 1 else ""
            message, names = f"{error}{more}", tuple(missing[:SAMPLE])
            self.findings.append(_finding(error.code, message, names, count=len(missing)))
        return self.findings

    def _problem(self, header: Header, found: Digest) -> Finding | None:
        error: ArchiveError
        name = printable(header.name)
        if objection := self.objection(header):
            error = UnsafeMember(self._archive, name, objection)
            return _finding(error.code, str(error), (name,))
        member = self._promised[header.name]
        if found.size != member.bytes:
            message = f"{self._archive}: {wrong_size(member, found.size)} {_FETCH_AGAIN}"
            return _finding(ChecksumMismatch.code, message, (name,))
        if found.hex != member.sha256:
            error = ChecksumMismatch(self._archive, name, member.sha256, found.hex)
            return _finding(error.code, str(error), (name,))
        return None


def _promised(manifest: Manifest, raw: bytes) -> dict[str, MemberEntry]:
    """What an archive of this manifest must hold, the manifest and its sums included."""
    own = (_own_entry(MANIFEST_NAME, raw), _own_entry(SUMS_NAME, sums_of(manifest, raw)))
    return {member.name: member for member in (own[0], *manifest.members, own[1])}


def _own_entry(name: str, text: bytes) -> MemberEntry:
    return MemberEntry(name=name, bytes=len(text), sha256=hashlib.sha256(text).hexdigest())


def _opened(path: Path) -> BinaryIO:
    try:
        # A FIFO in place of an archive must not keep us waiting for its writer.
        stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        why = f"there is no such file in {path.parent}."
        raise ArchiveNotFound(path.name, why) from error
    except IsADirectoryError as error:
        raise ForeignArchive(path.name, "it is a directory, not an archive.") from error
    except OSError as error:
        raise named(error, path) from error
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise ForeignArchive(path.name, "it is no regular file.")
    return stream


def _require(member: MemberEntry, found: Digest, archive: str) -> None:
    if found.hex != member.sha256:
        raise ChecksumMismatch(archive, member.name, member.sha256, found.hex)


def _linked(partial: Path, place: Path) -> bool:
    """Move a file to a name that nothing bears. False if something else bears it."""
    try:
        os.link(partial, place, follow_symlinks=False)
    except FileExistsError:
        if not _is_same_file(partial, place):
            return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _renamed(partial, place)
    partial.unlink()
    return True


def _renamed(partial: Path, place: Path) -> bool:
    """The same where the filesystem has no hard links: the name is taken first, then filled."""
    try:
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    partial.replace(place)
    return True


def _is_same_file(one: Path, other: Path) -> bool:
    with suppress(FileNotFoundError):
        return one.samefile(other)
    return False


def wrong_size(member: MemberEntry, size: int) -> str:
    return f"{member.name} has {size:,} bytes where the manifest promises {member.bytes:,}."


def _finding(
    code: str, message: str, keys: tuple[str, ...] = (), *, count: int | None = None
) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, message=message, keys=keys, count=count)
