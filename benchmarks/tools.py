"""The tools side by side: how each dumps and loads, and what it is known to lose."""

from __future__ import annotations

import shutil
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from benchmarks.checksums import LINK_KEYS, MICROSECONDS
from benchmarks.engines import Target
from benchmarks.files import TIMES
from benchmarks.measuring import Call
from benchmarks.options import ALL_ENGINES, ENGINES
from benchmarks.places import Place


class Tool(ABC):
    """One way to dump and to load; `settings` names its applications in the project's."""

    name: ClassVar[str]
    settings: ClassVar[str] = "django"
    archive: ClassVar[str]
    python: str = sys.executable
    is_slow: ClassVar[bool] = False
    engines: ClassVar[frozenset[str]] = frozenset(ENGINES)
    target: ClassVar[Target] = Target.MIGRATED
    known_losses: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[tuple[str, ...]] = ()
    """Programs of the machine."""

    @abstractmethod
    def dump(self, place: Place) -> Call: ...

    @abstractmethod
    def load(self, place: Place) -> Call: ...

    def check(self, place: Place) -> Call | None:  # noqa: ARG002
        """What examines the rows of a source, for a tool that does."""
        return None

    def missing(self) -> list[str]:
        return [program for program in self.needs if shutil.which(program) is None]

    def django(self, place: Place, *arguments: str) -> Call:
        """A command of the project, seen by Python as an installed one."""
        return Call(
            command=[self.python, "-P", "-m", "django", *arguments],
            variables=place.environment(self.settings),
            directory=place.archives,
        )

    def shell(self, place: Place, script: str, *arguments: str) -> Call:
        return Call(
            command=["bash", "-o", "pipefail", "-c", script, "bash", *arguments],
            variables=place.variables,
            directory=place.archives,
        )


class Diskette(Tool):
    name = "Diskette"
    engines = frozenset(ALL_ENGINES)
    settings = "diskette"
    archive = "diskette.tar"
    without: ClassVar[str] = "--no-storages"

    def dump(self, place: Place) -> Call:
        return self.django(place, "diskette_dump", self.without, "--filename", self.archive)

    def load(self, place: Place) -> Call:
        archive = str(place.archives / self.archive)
        options = ("--no-input", "--no-safety-dump", self.without)
        return self.django(place, "diskette_load", archive, *options)

    def check(self, place: Place) -> Call | None:
        return self.django(place, "diskette_check", "--data")


class Fixtures(Tool):
    name = "dumpdata, loaddata"
    engines = frozenset(ALL_ENGINES)
    archive = "fixtures.json"
    is_slow = True
    known_losses = frozenset({MICROSECONDS, LINK_KEYS})

    def dump(self, place: Place) -> Call:
        excluded = ("-e", "contenttypes", "-e", "auth.permission")
        return self.django(
            place, "dumpdata", "--natural-foreign", *excluded, "-o", self.archive, "-v0"
        )

    def load(self, place: Place) -> Call:
        return self.django(place, "loaddata", str(place.archives / self.archive), "-v0")


class Original(Tool):
    """The synchronous Diskette, in an environment of its own."""

    name = "Diskette 0.6"
    settings = "original"
    archive = "original.tar.gz"
    is_slow = True
    known_losses = frozenset({MICROSECONDS, LINK_KEYS})
    without: ClassVar[str] = "--no-storages"

    def __init__(self, python: Path) -> None:
        self.python = str(python)

    def dump(self, place: Place) -> Call:
        base = ("--storages-basepath", str(place.media.parent))
        options = ("--filename", self.archive, "--destination", str(place.archives))
        return self.django(place, "diskette_dump", self.without, *base, *options)

    def load(self, place: Place) -> Call:
        archive = str(place.archives / self.archive)
        base = ("--storages-basepath", str(place.media.parent))
        return self.django(place, "diskette_load", archive, "--keep", self.without, *base)


class DbBackup(Tool):
    name = "django-dbbackup"
    settings = "dbbackup"
    archive = "dbbackup.dump"

    def dump(self, place: Place) -> Call:
        return self.django(place, "dbbackup", "-O", str(place.archives / self.archive), "-v0")

    def load(self, place: Place) -> Call:
        archive = str(place.archives / self.archive)
        return self.django(place, "dbrestore", "-I", archive, "--noinput", "-v0")


class PgDump(Tool):
    """The whole database, restored into an empty one; indexes are built after the rows."""

    name = "pg_dump -Fc, pg_restore"
    archive = "pg_dump.custom"
    engines = frozenset({"postgresql"})
    target = Target.EMPTY
    options: ClassVar[tuple[str, ...]] = ("--exit-on-error",)

    def dump(self, place: Place) -> Call:
        arguments = (self.archive, place.database_url)
        return self.shell(place, 'exec pg_dump -Fc -f "$1" "$2"', *arguments)

    def load(self, place: Place) -> Call:
        arguments = (*self.options, "-d", place.database_url, str(place.archives / self.archive))
        return self.shell(place, 'exec pg_restore "$@"', *arguments)


class PgRestoreData(PgDump):
    """The rows alone, into tables that migrate has made."""

    name = "pg_dump -Fc -a, pg_restore -a"
    archive = "pg_dump_data.custom"
    target = Target.EMPTIED
    options = ("--exit-on-error", "--data-only", "--single-transaction")

    def dump(self, place: Place) -> Call:
        arguments = (self.archive, place.database_url)
        return self.shell(place, 'exec pg_dump -Fc --data-only -f "$1" "$2"', *arguments)


class MariaDBDump(Tool):
    """The whole database as statements, run by the client in an empty one."""

    name = "mariadb-dump, mariadb"
    archive = "mariadb-dump.sql"
    engines = frozenset({"mariadb"})
    target = Target.EMPTY
    needs = ("mariadb-dump", "mariadb")

    def dump(self, place: Place) -> Call:
        script = 'exec mariadb-dump --single-transaction -r "$1" "${@:2}"'
        return self.shell(place, script, self.archive, *self._named(place))

    def load(self, place: Place) -> Call:
        return self.shell(place, 'exec mariadb "${@:2}" < "$1"', self.archive, *self._named(place))

    def _named(self, place: Place) -> list[str]:
        """Server, user and database; the password is in the environment."""
        parts = urlsplit(place.database_url)
        return [
            f"--host={parts.hostname}",
            f"--port={parts.port or 3306}",
            f"--user={unquote(parts.username or '')}",
            unquote(parts.path.lstrip("/")),
        ]


class DisketteStorages(Diskette):
    archive = "diskette-storages.tar"
    without = "--no-data"


class OriginalStorages(Original):
    archive = "original-storages.tar.gz"
    without = "--no-data"


class DbBackupMedia(DbBackup):
    archive = "media.tar"
    known_losses = frozenset({TIMES})

    def dump(self, place: Place) -> Call:
        return self.django(place, "mediabackup", "-O", str(place.archives / self.archive), "-v0")

    def load(self, place: Place) -> Call:
        archive = str(place.archives / self.archive)
        return self.django(place, "mediarestore", "-I", archive, "--noinput", "-v0")


class TarZstd(Tool):
    name = "tar with zstd -3 -T2"
    archive = "media.tar.zst"
    needs = ("tar", "zstd")

    def dump(self, place: Place) -> Call:
        script = 'tar -C "$1" -cf - "$2" | zstd -3 -T2 -q -f -o "$3"'
        return self.shell(place, script, str(place.media.parent), place.media.name, self.archive)

    def load(self, place: Place) -> Call:
        script = 'mkdir -p "$2" && zstd -d -q -c "$1" | tar -C "$2" -xf -'
        return self.shell(place, script, self.archive, str(place.media.parent))


def data_tools(original: Path) -> list[Tool]:
    natives = PgDump(), PgRestoreData(), MariaDBDump()
    return [Diskette(), Fixtures(), Original(original), DbBackup(), *natives]


def storage_tools(original: Path) -> list[Tool]:
    return [DisketteStorages(), OriginalStorages(original), DbBackupMedia(), TarZstd()]
