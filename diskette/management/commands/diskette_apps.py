"""Print definitions for this project, to begin DISKETTE_APPS with."""

from __future__ import annotations

import difflib
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from diskette import registry
from diskette.core.definition import Definition
from diskette.core.exceptions import UsageError
from diskette.core.report import JSON
from diskette.management.base import DisketteCommand


class Command(DisketteCommand):
    """As the original's, but in the order that loads and without what is never dumped."""

    help = (
        "Prints a definition for each installed application, ready to be DISKETTE_APPS: every "
        "model with rows to dump, in the order that loads. What DISKETTE_APPS says now does "
        "not matter."
    )
    # What is wrong with DISKETTE_APPS must not hinder the command that prints a right one.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--destination",
            type=Path,
            metavar="FILE",
            help="write to this file, not to standard output",
        )
        parser.add_argument(
            "--app",
            action="append",
            default=[],
            metavar="LABEL",
            help="only this application; may be given several times",
        )
        parser.add_argument(
            "--exclude",
            action="append",
            default=[],
            metavar="LABEL",
            help="not this application, even if --app names it; may be given several times",
        )
        parser.add_argument(
            "--format",
            choices=("python", "json"),
            default="python",
            help="python, the default, to paste into the settings; json for programs",
        )

    def handle(self, *_: str, **options: Any) -> None:
        entries = [_entry(each) for each in _selected(options["app"], options["exclude"])]
        as_json = options["format"] == "json"
        text = json.dumps(entries, indent=4, ensure_ascii=False) if as_json else python(entries)
        if destination := options["destination"]:
            _write(destination, f"{text}\n")
            self.stderr.write(f"Written to {destination}.", str)
        else:
            self.stdout.write(text)


def python(value: JSON, indent: str = "") -> str:
    """A value of JSON as Python source, four blanks a level, strings in double quotes."""
    deeper = f"{indent}    "
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict() if value:
            items = [f"{python(key)}: {python(each, deeper)}" for key, each in value.items()]
            return _block("{", items, "}", indent)
        case list() if value:
            return _block("[", [python(each, deeper) for each in value], "]", indent)
    return repr(value)


def _selected(included: Sequence[str], excluded: Sequence[str]) -> list[Definition]:
    """Definitions of the applications asked for, by label or python path. Raises UsageError."""
    labels = {config.label: config.label for config in apps.get_app_configs()}
    labels |= {config.name: config.label for config in apps.get_app_configs()}
    for word in [*included, *excluded]:
        if word not in labels:
            near = difflib.get_close_matches(word, labels, n=1)
            cure = f"Did you mean {near[0]!r}?" if near else "INSTALLED_APPS has those there are."
            raise UsageError(f"No application {word!r} is installed. {cure}")
    asked, refused = ({labels[word] for word in words} for words in (included, excluded))
    return [
        definition
        for definition in registry.made_from_installed()
        if _label(definition) not in refused
        if not asked or _label(definition) in asked
    ]


def _label(definition: Definition) -> str:
    return definition.models[0].partition(".")[0]


def _entry(definition: Definition) -> JSON:
    """The definition as the original's command wrote it, by natural keys."""
    parameters: dict[str, JSON] = {"comments": definition.comments, "natural_foreign": True}
    if definition.database != DEFAULT_DB_ALIAS:
        parameters["database"] = definition.database
    return [definition.name, parameters | {"models": list(definition.models)}]


def _write(destination: Path, text: str) -> None:
    try:
        destination.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{destination} cannot be written: {error.strerror}. Name a file in a directory that "
            "exists and is yours."
        ) from error


def _block(opening: str, items: Sequence[str], closing: str, indent: str) -> str:
    lines = "".join(f"\n{indent}    {item}," for item in items)
    return f"{opening}{lines}\n{indent}{closing}"
