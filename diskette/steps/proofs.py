"""When archives were last proven to be restorable, by a load or a drill of all they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils import timezone

from diskette import conf
from diskette.core import catalog
from diskette.core.catalog import ArchiveInfo
from diskette.models import Archive, stored


def record(path: Path) -> None:
    """Note that an archive was restored right now, each byte of it read.

    What lies in the destination gets a row, if it has none; elsewhere only known archives have
    one.
    """
    info, now = catalog.read(path), timezone.now()
    if info.manifest is None:
        return  # one of the original Diskette's, of which nothing is kept
    rows = Archive.objects.using(conf.database())
    proof = {"proven_at": now, "verified_at": now, "damaged_at": None, "removed_at": None}
    known = rows.filter(path=str(path)).update(**proof, bytes=info.size)
    if not known and path.parent == conf.destination():
        rows.create(
            path=str(path),
            name=info.name,
            label=info.label,
            purpose=info.purpose,
            instant=stored(info.instant),
            bytes=info.size,
            **proof,
        )


def known(archives: Iterable[ArchiveInfo]) -> list[ArchiveInfo]:
    """The archives with their proofs: those of a file of another size are another's."""
    archives = list(archives)
    rows = rows_of(archives).exclude(proven_at=None)
    found = {(row.path, row.bytes): row.proven_at for row in rows}
    return [
        replace(each, proven_at=conf.aware(found.get((str(each.path), each.size))))
        for each in archives
    ]


def rows_of(archives: Iterable[ArchiveInfo]) -> QuerySet[Archive]:
    """What is known of archives that are called so: a site has made far more than it keeps."""
    return Archive.objects.using(conf.database()).filter(name__in={each.name for each in archives})


def known_if_asked(archives: Iterable[ArchiveInfo]) -> list[ArchiveInfo]:
    """The same; where there is no database to ask, archives are listed all the same."""
    archives = list(archives)
    try:
        return known(archives)
    except DatabaseError:
        return archives
