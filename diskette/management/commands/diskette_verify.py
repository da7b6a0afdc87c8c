"""Read archives to their last byte and say what of them is whole."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import humanize
from humanize import intcomma

from diskette import conf, fetch
from diskette.core import catalog
from diskette.core.exceptions import ArchiveNotFound, UsageError
from diskette.core.wording import finding_lines, stat_words
from diskette.doctor import verifying
from diskette.doctor.archives import Rest, State, Verdict
from diskette.management.base import FAILED, DisketteCommand
from diskette.management.console import Meter
from diskette.runs import start_drill


class Command(DisketteCommand):
    help = (
        "Read every byte of archives and check every digest: say what is broken, and what can "
        "still be had. Exits with 1 if one is damaged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which archives."""
        super().add_arguments(parser)
        add = parser.add_argument
        add("archive", nargs="?", help="a path, a name in the destination, or `latest`")
        add("--all", action="store_true", help="every archive in the destination")
        add(
            "--sample",
            metavar="SHARE",
            help="a share of them, such as 10%%: those examined longest ago, or never",
        )
        add("--destination", type=Path, metavar="DIR", help="instead of DISKETTE_DUMP_PATH")
        add(
            "--drill",
            action="store_true",
            help="restore ARCHIVE, or the latest, into a scratch database and directory, compare "
            "all of it, and note that it is proven; nothing live is written",
        )
        self.add_enqueue(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        """Examine one after another; say of each at once what came of it. Or drill."""
        if options["drill"]:
            self._drill(options)
            return
        if options["enqueue"] or options["wait"]:
            raise UsageError("--enqueue and --wait go with --drill.")
        paths = _chosen(options)
        if not paths and options["format"] == "text":
            where = options["destination"] or conf.destination()
            self.stdout.write(f"No archives in {where}. `manage.py diskette_dump` makes one.")
        quiet = options["format"] == "json" or options["verbosity"] == 0
        meter = Meter(self.stderr, silent=quiet)
        verdicts = []
        for path in paths:
            verdicts.append(self._verified(path, meter))
            if options["format"] == "text":
                self.stdout.write("\n".join(_lines(verdicts[-1])))
        if options["format"] == "json":
            self.print_json({"archives": [each.to_json() for each in verdicts]})
        self._exit(verdicts, options)

    def _drill(self, options: dict[str, Any]) -> None:
        if options["all"] or options["sample"] is not None or options["destination"]:
            raise UsageError("A drill is of one ARCHIVE: leave out --all, --sample, --destination.")
        archive = fetch.named(options["archive"] or fetch.LATEST)
        self.start(options, lambda **common: start_drill(archive, **common))

    def _verified(self, path: Path, meter: Meter) -> Verdict:
        with meter.over(path.name, verifying.work(path)) as tick:
            return verifying.verify(path, tick)

    def _exit(self, verdicts: list[Verdict], options: dict[str, Any]) -> None:
        bad = [each for each in verdicts if each.state is State.DAMAGED]
        # Another program's file in the destination is no damage; a file that was named is.
        bad += [each for each in verdicts if each.state is State.FOREIGN and options["archive"]]
        if bad:
            message = f"Damaged: {len(bad)} of {intcomma(len(verdicts))} archives."
            self.stop("" if options["format"] == "json" else message, FAILED)


def _chosen(options: dict[str, Any]) -> list[Path]:
    given = [bool(options["archive"]), options["all"], options["sample"] is not None]
    if sum(given) != 1:
        raise UsageError("Say what to verify: one ARCHIVE, or --all, or --sample 10%.")
    if options["archive"]:
        return [_named(options["archive"])]
    destination = options["destination"] or conf.destination()
    if options["destination"] and not destination.is_dir():
        raise UsageError(f"{destination} is no directory: no archive can be in it.")
    if options["all"]:
        return [each.path for each in catalog.find(destination)]
    return verifying.sample(catalog.share_of(options["sample"]), destination)


def _named(word: str) -> Path:
    if fetch.is_url(word):
        raise UsageError("An archive is verified where it lies: download it first.")
    try:
        return Path(fetch.named(word))
    except ArchiveNotFound as error:
        raise UsageError(str(error)) from error


def _lines(verdict: Verdict) -> Iterator[str]:
    """`whole    shop_20261122T020000Z_data.tar  17.9 kB  6 models, 20 rows`."""
    size = humanize.naturalsize(verdict.info.size)
    word = "DAMAGED" if verdict.state is State.DAMAGED else verdict.state.value
    yield f"{word:<8} {verdict.info.name}  {size}  {_summary(verdict)}".rstrip()
    for finding in verdict.findings:
        yield from (f"  {line}" for line in finding_lines(finding))
    if verdict.state is State.DAMAGED:
        yield from (f"  {line}" for line in _rest(verdict))


def _summary(verdict: Verdict) -> str:
    if (manifest := verdict.info.manifest) is None:
        return ""
    numbers = {"models": len(manifest.models), "rows": manifest.rows, "files": manifest.files}
    return ", ".join(stat_words(numbers))


def _rest(verdict: Verdict) -> Iterator[str]:
    """What can still be had."""
    if verdict.info.manifest is None:
        return
    models = len(verdict.models) + len(verdict.lost_models)
    if models:
        lost = f"; lost: {', '.join(verdict.lost_models)}" if verdict.lost_models else ""
        yield f"can be had: {len(verdict.models)} of {models} models{lost}"
    for rest in verdict.storages:
        yield f"can be had: {_had(rest)} of storage {rest.name}"


def _had(rest: Rest) -> str:
    if not rest.lost:
        return f"all {intcomma(rest.files)} files"
    had = intcomma(rest.files - rest.lost)
    return f"{had} of {intcomma(rest.files)} files"
