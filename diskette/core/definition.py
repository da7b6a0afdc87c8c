"""What one entry of DISKETTE_APPS says: `[name, {parameters}]`, checked word by word.

Labels are only read here; whether such models exist is the registry's to say. The entry
itself is never changed: the same settings serve every run of a long-lived worker.
Form and meaning of each parameter: docs/definitions.md.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from diskette.core.exceptions import ConfigurationError

FILE_FORMATS = ("json", "jsonl", "xml", "yaml")
"""Extensions that the original's fixtures may have."""

EXAMPLE = "['blog', {'models': ['blog']}]"
LONGEST_NAME = 150
"""Characters: a step's result is stored under the run, the step and this name, 255 in all."""


class _Wrong(Exception):
    """A parameter's value is not of its kind. Takes what follows the parameter's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What to include, as the user wrote it."""

    name: str
    models: tuple[str, ...] = ()
    """Application labels or `app.Model`; a drain has none."""
    excludes: tuple[str, ...] = ()
    """Always `app.Model`."""
    database: str = "default"
    comments: str = ""
    natural_foreign: bool = False
    natural_primary: bool = False
    use_base_manager: bool | None = None
    """False, said explicitly, asks for the models' default manager; None for the whole table."""
    allow_drain: bool = False
    """Whether a drain may take what this definition leaves out of its applications."""
    is_drain: bool = False
    drain_excluded: bool = False
    dump_command: str = ""
    """Accepted from the original's settings; no model needs a command of its own here."""
    filename: str
    """Name by which `diskette_load --exclude-data` knows the definition."""

    @classmethod
    def from_setting(cls, entry: object) -> Self:
        """Read one entry. Raises ConfigurationError with everything that is wrong in it."""
        name, parameters = _name_and_parameters(entry)
        values, problems = _read(parameters)
        values.setdefault("filename", default_filename(name))
        problems.extend(_contradictions(parameters))
        problems.extend(_unusable_name(name, values["filename"]))
        if problems:
            raise ConfigurationError(*(f"Definition {name!r}: {problem}" for problem in problems))
        if values.get("is_drain"):
            values |= {"models": (), "allow_drain": False}
        return cls(name=name, **values)


def default_filename(name: str) -> str:
    """The original's: `django.contrib.auth` is `djangocontribauth.json`; "" if nothing remains."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^\w\s-]", "", (plain if re.search(r"\w", plain) else name).lower())
    slug = re.sub(r"[-\s]+", "-", words).strip("-_")
    return f"{slug}.json" if slug else ""


def _name_and_parameters(entry: object) -> tuple[str, Mapping[Any, Any]]:
    match entry:
        case [str(name), Mapping() as parameters] if name.strip():
            return name, parameters
    raise ConfigurationError(
        f"DISKETTE_APPS: {_short(entry)} is not [name, {{parameters}}]. Write it as {EXAMPLE}."
    )


def _read(parameters: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in parameters.items():
        if key not in _READERS:
            problems.append(_unknown_parameter(key))
        elif value is not None:
            try:
                values[key] = _READERS[key](value)
            except _Wrong as error:
                problems.append(f"{key!r} {error}")
    return values, problems


def _unknown_parameter(key: object) -> str:
    near = difflib.get_close_matches(str(key), _READERS, n=1)
    cure = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(_READERS)}."
    return f"{_short(key)} is no parameter of a definition. {cure}"


def _contradictions(parameters: Mapping[Any, Any]) -> Iterator[str]:
    is_drain = parameters.get("is_drain")
    if not is_drain and not parameters.get("models"):
        yield (
            "'models' must not be an empty value. Name application labels or models in it, "
            "or set 'is_drain': True to take what no other definition takes."
        )
    if not is_drain and parameters.get("drain_excluded"):
        yield "'drain_excluded' belongs to a drain. Set 'is_drain': True or remove it."


def _unusable_name(name: str, filename: str) -> Iterator[str]:
    if len(name) > LONGEST_NAME or not name.isprintable():
        yield f"its name must be one line of at most {LONGEST_NAME} characters. Shorten it."
    if not filename:
        yield "its name has no letter or digit to name a file by. Set 'filename': 'data.json'."


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"must be True or False, not {_short(value)}. Write it without quotes.")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"must be a name in quotes, not {_short(value)}. Correct it or remove it.")
    return value


def _labels(value: object) -> tuple[str, ...]:
    labels = (value,) if isinstance(value, str) and value else value
    if labels == "":
        return ()
    if not isinstance(labels, (list, tuple)) or not all(isinstance(each, str) for each in labels):
        raise _Wrong(
            f"must be a label or a list of labels, not {_short(value)}. "
            "Write it as 'blog' or ['blog.Article', 'blog.Category']."
        )
    return tuple(dict.fromkeys(labels))


def _model_labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise _Wrong(f"must be a list, not {_short(value)}. Write it as ['blog.Article'].")
    labels = _labels(value)
    if partial := [label for label in labels if not re.fullmatch(r"[^.\s]+\.[^.\s]+", label)]:
        raise _Wrong(
            "can only contain fully qualified labels (like 'blog.Article'); these are not: "
            f"{_listed(partial)}. Name each model with its application."
        )
    return labels


def _filename(value: object) -> str:
    name = _word(value)
    if "\\" in name or PurePosixPath(name).name != name:
        raise _Wrong(f"must be a file name without a directory, not {name!r}. Shorten it.")
    extension = PurePosixPath(name).suffix.removeprefix(".")
    if extension not in FILE_FORMATS:
        found = f"not {extension!r}" if extension else "it has none"
        raise _Wrong(
            f"{name!r} must end in one of the extensions {', '.join(FILE_FORMATS)}; {found}. "
            f"Write it as '{PurePosixPath(name).stem}.json'."
        )
    return name


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(repr(label) for label in labels)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004 - a line's half


_READERS: Mapping[str, Callable[[object], Any]] = {
    "comments": str,
    "natural_foreign": _flag,
    "natural_primary": _flag,
    "use_base_manager": _flag,
    "allow_drain": _flag,
    "is_drain": _flag,
    "drain_excluded": _flag,
    "dump_command": _word,
    "filename": _filename,
    "models": _labels,
    "excludes": _model_labels,
    "database": _word,
}
"""Parameters and how each is read. None always means: as if it were not there."""
