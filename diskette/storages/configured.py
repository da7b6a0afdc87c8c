"""What DISKETTE_STORAGES names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diskette import conf
from diskette.core.exceptions import ConfigurationError
from diskette.core.manifest import is_storage_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A directory of files that belongs to the project."""

    name: str
    """Path relative to the storages' base."""
    root: Path
    excludes: tuple[str, ...]
    """fnmatch patterns on the path of a file relative to `root`."""


def resolve(*, existing: bool = True) -> tuple[Storage, ...]:
    """The configured storages, in their order. Raises ConfigurationError with every problem.

    `existing`: each must be there, as a dump needs it; a load makes what is missing.
    """
    entries = conf.storages()
    paths = [path for path, _ in entries]
    problems = [problem for path in paths for problem in _problems(path, existing=existing)]
    if not problems:
        problems = list(_overlaps([_normal(path) for path in paths]))
    if problems:
        raise ConfigurationError(*problems)
    base, of_all = _normal(conf.storages_base()), conf.storages_excludes()
    return tuple(
        Storage(
            name=_normal(path).relative_to(base).as_posix(),
            root=_normal(path),
            excludes=of_all + excludes,
        )
        for path, excludes in entries
    )


def live_path(name: str) -> Path:
    """Where the storage of that name lies, or is to lie, in this project.

    An archive may only write where this project says that files are kept: raises
    ConfigurationError for a name that DISKETTE_STORAGES does not have.
    """
    for storage in resolve(existing=False):
        if storage.name == name:
            return storage.root
    raise ConfigurationError(
        f"The archive holds the storage {name!r}, which is none of this project's. Add "
        f"{conf.storages_base() / name} to DISKETTE_STORAGES, or load without storages "
        "(--no-storages)."
    )


def _problems(path: Any, *, existing: bool) -> Iterator[str]:
    """What is wrong with one entry, the first thing that explains the rest."""
    subject, base = f"DISKETTE_STORAGES: {path}", _normal(conf.storages_base())
    if not isinstance(path, Path):
        yield f"DISKETTE_STORAGES: {path!r} is no pathlib.Path. Write Path({path!r})."
    elif not path.is_absolute():
        yield f"{subject} is not absolute. Write BASE_DIR / {str(path)!r}."
    elif existing and not path.exists():
        yield f"{subject} does not exist. Make it, or remove it from the setting."
    elif path.exists() and not path.is_dir():
        yield f"{subject} is a file. Name the directory that holds it."
    elif not _is_beneath(_normal(path), base):
        yield (
            f"{subject} does not lie beneath {base}. Set DISKETTE_LOAD_STORAGES_PATH to a "
            "directory that holds every storage."
        )
    elif not is_storage_name(_normal(path).relative_to(base).as_posix()):
        yield f"{subject}: its name is not printable text. Rename it."
    else:
        yield from _inhabitants(path)


def _inhabitants(path: Path) -> Iterator[str]:
    """What must not lie in a storage, for a load replaces all that is in it."""
    kept = {
        conf.destination(): "where archives are kept (DISKETTE_DUMP_PATH)",
        conf.workspace_root(): "where runs work (DISKETTE_WORKSPACE)",
    }
    kept |= dict.fromkeys(conf.database_files(), "a database")
    root = path.resolve()
    for place, what in kept.items():
        if place.resolve().is_relative_to(root):
            yield (
                f"DISKETTE_STORAGES: {path} holds {place}, {what}: a load would replace it. Move "
                "one of them, or name the storage's subdirectories instead."
            )


def _overlaps(roots: list[Path]) -> Iterator[str]:
    for number, root in enumerate(roots):
        for other in roots[:number]:
            one, two = root.resolve(), other.resolve()
            if one == two:
                yield f"DISKETTE_STORAGES: {root} is named twice. Remove one."
            elif _is_beneath(one, two) or _is_beneath(two, one):
                yield (
                    f"DISKETTE_STORAGES: {root} and {other} lie in one another, so files would "
                    "be dumped twice. Remove one."
                )


def _normal(path: Path) -> Path:
    """Without `..`; links are left, for a storage is named by its path, not by where it points."""
    return Path(os.path.normpath(path))


def _is_beneath(path: Path, base: Path) -> bool:
    return path != base and path.is_relative_to(base)
