"""Load an archive into this project."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import humanize
from django.core.management.base import CommandError

from diskette import conf, fetch
from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import UsageError
from diskette.core.wording import stat_words
from diskette.management.base import FAILED, DisketteCommand
from diskette.runs import start_load

YES = "yes"


class Command(DisketteCommand):
    help = (
        "Load an archive: its rows and files replace this project's, all or nothing. "
        "The archive itself is never deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options of a load."""
        super().add_arguments(parser)
        add = parser.add_argument
        add("archive", help="a path, a URL, a name in the destination, or `latest`")
        add("--no-input", "--noinput", action="store_false", dest="ask", help="do not ask")
        add("--check", action="store_true", help="do all that changes nothing, and report")
        add("--mode", default="replace", choices=("replace", "merge"), help="default: replace")
        add("--app", action="append", default=[], metavar="NAME", help="only this definition")
        add("--model", action="append", default=[], metavar="LABEL", help="only this model")
        add("--exclude-data", action="append", default=[], metavar="NAME", help="leave it out")
        add("--no-data", action="store_true", help="leave the data as it is")
        add("--no-storages", action="store_true", help="leave the media as they are")
        add(
            "--merge-storages",
            action="store_true",
            help="add and replace files, delete none; --mode merge does so, too",
        )
        add(
            "--ignorenonexistent",
            "--ignorenonexistent_data",
            action="store_true",
            help="leave out fields and models that this project does not have",
        )
        add(
            "--drop-stale",
            action="store_true",
            help="leave out links to content types and permissions that this project does not have",
        )
        add(
            "--salvage",
            action="store_true",
            help="load what is whole of a damaged archive; what is left out is listed",
        )
        add("--checksum", help="the SHA-256 or BLAKE2b that the archive must have")
        add(
            "--into",
            metavar="ENVIRONMENT",
            help="this project's DISKETTE_ENVIRONMENT, to load an archive of another one",
        )
        add("--no-safety-dump", action="store_true", help="do not dump what is replaced first")
        add("--keep", action="store_true", help="accepted: an archive is always kept")
        self.add_enqueue(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        """Ask, then load."""
        chosen = {
            "applications": options["app"],
            "models": options["model"],
            "exclude": options["exclude_data"],
            "data": not options["no_data"],
            "storages": not options["no_storages"],
            "mode": options["mode"],
            "merge_storages": options["merge_storages"],
            "ignore_nonexistent": options["ignorenonexistent"],
            "drop_stale": options["drop_stale"],
            "salvage": options["salvage"],
            "checksum": None if options["checksum"] == "no" else options["checksum"],
            "into": options["into"],
            "safety": False if options["no_safety_dump"] else None,
            "check": options["check"],
        }
        archive = fetch.named(options["archive"])
        if options["ask"] and not options["check"]:
            chosen["into"] = self._ask(archive, options)
        self.start(options, lambda **common: start_load(archive, **chosen, **common))

    def _ask(self, archive: str, options: dict[str, Any]) -> str | None:
        """Where it is loaded into, as `--into` says or the person who was asked."""
        if options["format"] == "json":
            raise UsageError("--format json cannot ask: add --no-input if you are sure.")
        info = fetch.describe(archive)
        self.stderr.write(self._question(archive, info, options), str)
        wanted = _to_be_typed(info, options["into"])
        typed = self._typed(f"Type {wanted} to go on: ")
        if (typed if wanted != YES else typed.lower()) != wanted:
            raise CommandError("Nothing was loaded.", returncode=FAILED)
        into: str | None = options["into"] if wanted == YES else typed
        return into

    def _typed(self, question: str) -> str:
        try:
            return input(question).strip()
        except EOFError:
            raise UsageError("Nobody answered. Add --no-input to load without asking.") from None

    def _question(self, archive: str, info: ArchiveInfo | None, options: dict[str, Any]) -> str:
        holds = f" ({_size(info)})" if info else ""
        shown = fetch.without_secrets(archive) if fetch.is_url(archive) else archive
        return f"The {_intent(options, f'{shown}{holds}')} this project{_here(info)}."


def _intent(options: dict[str, Any], archive: str) -> str:
    """What will become of rows and files: `rows and files of shop.tar will replace those of`."""
    left_out = {"rows": options["no_data"], "files": options["no_storages"]}
    words = [word for word in left_out if not left_out[word]]
    is_mixed = len(words) > 1 and options["mode"] == "replace" and options["merge_storages"]
    if is_mixed:
        return f"rows of {archive} will replace those of, and its files be merged into,"
    is_merged = options["mode"] == "merge" or (options["merge_storages"] and words == ["files"])
    verb = "be merged into" if is_merged else "replace those of"
    return f"{' and '.join(words)} of {archive} will {verb}"


def _origin(info: ArchiveInfo | None) -> str:
    """The environment that an archive was made in, where it is told and is another one."""
    there = info.manifest.environment if info and info.manifest else ""
    return there if conf.environment() and there != conf.environment() else ""


def _to_be_typed(info: ArchiveInfo | None, into: str | None) -> str:
    """A name cannot be typed by habit, as yes can."""
    return conf.environment() if _origin(info) and into is None else YES


def _here(info: ArchiveInfo | None) -> str:
    there, here = _origin(info), conf.environment()
    return f", which is {here!r}; the archive was made in {there!r}" if there else ""


def _size(info: ArchiveInfo) -> str:
    manifest = info.manifest
    if manifest is None:
        return humanize.naturalsize(info.size)
    holds = ", ".join(stat_words({"rows": manifest.rows, "files": manifest.files}))
    made = humanize.naturaltime(manifest.instant)
    return f"{manifest.label}, made {made}: {holds}"
