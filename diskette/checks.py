"""System checks: every setting is of its kind, and the definitions can be used.

Ids are stable and documented in docs/settings.md. Nothing here reads a database, so the
checks run in `manage.py check` and before every command of Diskette's. What depends on
directories of this machine is a warning: a site may start before they are there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Doubt
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string
from django.utils.text import slugify

from diskette import channels, conf, fetch, registry, schedule, storages
from diskette.core import catalog
from diskette.core.exceptions import ConfigurationError, UsageError
from diskette.core.naming import archive_name
from diskette.core.plan import Kind
from diskette.core.report import Severity

TAG = "diskette"
OWNERS_ACCESS = 0o600
OTHERS_ACCESS = 0o077
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
DEFAULT_PORTS = {"postgresql": "5432", "mysql": "3306"}
ALL_ACCESS = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the value of one setting may be."""

    id: str
    setting: str
    wants: str
    """Completes "must be"."""
    accepts: Callable[[Any], bool]
    is_secret: bool = False

    def check(self) -> Iterator[CheckMessage]:
        value = conf.get(self.setting)
        if not self.accepts(value):
            yield Error(
                f"{self.setting} must be {self.wants}, not {self._shown(value)}.",
                hint=f"Correct it, or remove it for its default, {conf.DEFAULTS[self.setting]!r}.",
                id=self.id,
            )

    def _shown(self, value: object) -> str:
        return f"this {type(value).__name__}" if self.is_secret else f"{value!r:.80}"


def connect() -> None:
    """Let Django run the checks."""
    checks.register(check_settings, TAG)
    checks.register(check_definitions, TAG)
    checks.register(check_telling, TAG, deploy=True)


def check_settings(**_: object) -> list[CheckMessage]:
    """Every setting but DISKETTE_APPS."""
    errors = [message for rule in RULES for message in rule.check()]
    errors = [*(errors or _unusable_filename()), *_unusable_retention(), *_living_scratch()]
    errors += [*_unusable_drill_check(), *_unusable_limits()]
    return [*errors, *_unknown_settings(), *([] if errors else _doubts())]


def check_definitions(**_: object) -> list[CheckMessage]:
    """DISKETTE_APPS: each problem an error, what it moves or misses a warning."""
    try:
        found = registry.resolve().findings
    except ConfigurationError as error:
        return [Error(problem, id="diskette.E001") for problem in error.problems]
    return [
        Doubt(finding.message, hint=finding.hint, id="diskette.W001")
        for finding in found
        if finding.severity is not Severity.INFO
    ]


def check_telling(**_: object) -> list[CheckMessage]:
    """Whether anybody would hear of a failure; only asked of a deployment."""
    if check_settings() or conf.notify_mail() or conf.notify_urls():
        return []
    return [
        Doubt(
            "Nobody would be told that a dump failed: ADMINS is empty.",
            hint="Name people in ADMINS or DISKETTE_NOTIFY_MAIL, or services in "
            "DISKETTE_NOTIFY_SECRET_URLS: docs/nights.md.",
            id="diskette.W065",
        )
    ]


def _unusable_filename() -> Iterator[CheckMessage]:
    try:
        archive_name(
            label=conf.label(),
            instant=datetime(2026, 11, 22, tzinfo=UTC),
            data=True,
            storages=True,
            pattern=conf.filename_pattern(),
        )
    except ConfigurationError as error:
        yield Error(str(error), id="diskette.E007")


def _unusable_retention() -> Iterator[CheckMessage]:
    if not isinstance(conf.get("DISKETTE_RETENTION"), Mapping):
        return  # None, or told already
    try:
        conf.retention()
    except ConfigurationError as error:
        hint = "Correct it; docs/retention.md lists the rules."
        yield from (Error(each, hint=hint, id="diskette.E023") for each in error.problems)


def _unusable_limits() -> Iterator[CheckMessage]:
    if not isinstance(conf.get("DISKETTE_HEALTH"), Mapping):
        return  # told already
    try:
        conf.health()
    except ConfigurationError as error:
        hint = "Correct it; docs/nights.md lists the limits."
        yield from (Error(each, hint=hint, id="diskette.E070") for each in error.problems)


def _living_scratch() -> Iterator[CheckMessage]:
    """What names alone tell; that it is no live database is proven each time it is used."""
    databases, scratch = conf.databases(), conf.scratch_database()
    if scratch is None or scratch not in databases:
        return  # the latter is told already
    for alias in databases:
        mirrored = _mirrored(databases[alias]) == scratch or _mirrored(databases[scratch]) == alias
        same = mirrored or _place(databases[alias]) == _place(databases[scratch])
        lived_in = alias in (DEFAULT_DB_ALIAS, conf.database())
        if lived_in if alias == scratch else same:
            yield Error(
                f"DISKETTE_SCRATCH_DATABASE {scratch!r} is the live database {alias!r}: what is "
                "done there would be done to live data.",
                hint="Name an empty database that is used for nothing else, or remove the setting.",
                id="diskette.E056",
            )


def _mirrored(database: Mapping[str, Any]) -> str | None:
    alias: str | None = database.get("TEST", {}).get("MIRROR")
    return alias


def _place(database: Mapping[str, Any]) -> tuple[str, ...]:
    """Kind, host, port and name, however they are spelled."""
    kind = database.get("ENGINE", "").rpartition(".")[2]
    kind = {"postgis": "postgresql", "spatialite": "sqlite3"}.get(kind, kind)
    options = database.get("OPTIONS", {})
    host = str(database.get("HOST") or options.get("host") or "localhost").casefold()
    is_here = host in LOCAL_HOSTS or host.startswith("/")
    port = str(database.get("PORT") or options.get("port") or DEFAULT_PORTS.get(kind, ""))
    name = str(database.get("NAME") or options.get("dbname") or options.get("database") or "")
    return kind, "localhost" if is_here else host, port, name


def _unusable_drill_check() -> Iterator[CheckMessage]:
    path = conf.get("DISKETTE_DRILL_CHECK")
    if not _is_name(path):
        return  # None, or told already
    try:
        why = "" if callable(import_string(path)) else "it cannot be called"
    except Exception as error:  # noqa: BLE001 - the project's module may raise anything
        why = f"{type(error).__name__}: {error}"
    if why:
        yield Error(
            f"DISKETTE_DRILL_CHECK {path!r} cannot be used: {why}.",
            hint="Name a function as module.function; docs/drills.md shows one.",
            id="diskette.E061",
        )


def _unknown_settings() -> Iterator[CheckMessage]:
    known = {name.removeprefix("DISKETTE_"): name for name in conf.DEFAULTS}
    for name in conf.unknown():
        near = difflib.get_close_matches(name.removeprefix("DISKETTE_"), known, n=1)
        cure = f"Did you mean {known[near[0]]}?" if near else ""
        hint = cure or "docs/settings.md lists those there are."
        yield Doubt(f"{name} is no setting of Diskette's.", hint=hint, id="diskette.W002")


def _doubts() -> Iterator[CheckMessage]:
    """Values that are allowed, but hardly meant. Only for settings that are of their kind."""
    mode = conf.archive_mode()
    if mode & OTHERS_ACCESS:
        yield Doubt(
            f"DISKETTE_DUMP_PERMISSIONS {mode:#o} lets other accounts of this machine read "
            "archives, which hold password hashes and private files.",
            hint="Remove the setting for 0o600, the owner alone.",
            id="diskette.W003",
        )
    if conf.get("DISKETTE_APPS") in ([], ()) and not conf.storages():
        yield Doubt(
            "A dump would hold nothing: DISKETTE_APPS is empty and DISKETTE_STORAGES too.",
            hint="Remove DISKETTE_APPS for the data of every application, or name storages.",
            id="diskette.W004",
        )
    try:
        storages.resolve()
    except ConfigurationError as error:
        yield from (Doubt(problem, id="diskette.W005") for problem in error.problems)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_path_or_none(value: Any) -> bool:
    if value is None:
        return True
    return (isinstance(value, Path) or _is_name(value)) and "\0" not in str(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_name_or_none(value: Any) -> bool:
    return value is None or _is_name(value)


def _is_label_or_none(value: Any) -> bool:
    return value is None or (_is_name(value) and slugify(value) != "")


def _are_words(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)


def _are_protocols(value: Any) -> bool:
    return _are_words(value) and all(each.endswith("://") for each in value)


def _are_storages(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_storage, value))


def _is_storage(value: Any) -> bool:
    if isinstance(value, Path):
        return value.is_absolute()
    match value:
        case (Path() as path, dict() as parameters):
            known = parameters.keys() <= {"excludes"}
            return path.is_absolute() and known and _are_words(parameters.get("excludes", ()))
    return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not _is_flag(value)


def _is_mode_or_none(value: Any) -> bool:
    if value is None:
        return True
    return _is_whole(value) and 0 <= value <= ALL_ACCESS and value & OWNERS_ACCESS == OWNERS_ACCESS


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not _is_flag(value) and value > 0


def _is_seconds(value: Any) -> bool:
    return _is_positive(value) and value <= conf.MOST_SECONDS


def _is_share(value: Any) -> bool:
    try:
        return isinstance(value, str) and catalog.share_of(value) > 0
    except UsageError:
        return False


def _are_schedules(value: Any) -> bool:
    return isinstance(value, dict) and all(
        job in schedule.JOBS and _is_schedule_or_none(when) for job, when in value.items()
    )


def _is_schedule_or_none(value: Any) -> bool:
    try:
        return value is None or schedule.schedule_of(value) is not None
    except (TypeError, ValueError):
        return False


def _are_addresses_or_none(value: Any) -> bool:
    return value is None or (_are_words(value) and all("@" in each for each in value))


def _are_services(value: Any) -> bool:
    return _are_words(value) and all("://" in each for each in value)


def _are_pings(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        kind in PINGED and _is_ping(ping) for kind, ping in value.items()
    )


def _is_ping(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) <= set(channels.Moment) and all(map(_is_web_address, value.values()))
    return _is_web_address(value)


def _is_web_address(value: Any) -> bool:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        return False
    return fetch.is_address(value) and "@" not in urlsplit(value).netloc


def _rule(
    number: int,
    name: str,
    wants: str,
    accepts: Callable[[Any], bool],
    *,
    is_secret: bool = False,
) -> Rule:
    return Rule(
        id=f"diskette.E{number:03}",
        setting=f"DISKETTE_{name}",
        wants=wants,
        accepts=accepts,
        is_secret=is_secret,
    )


FLAG = "True or False"
PATH = "a path or None"
SECONDS = "a number of seconds above 0, a year at most"
STORAGES = "a list of absolute pathlib.Path, or of [path, {'excludes': ['*.tmp']}]"
QUEUE = "the name of a queue or None"
SERVICES = "a list of addresses as apprise writes them, such as 'slack://...'"
PINGED = (*Kind, "health")
PINGS = (
    f"a dict of {', '.join(PINGED)}: an http:// or https:// address without a user, "
    f"or a dict of such for {', '.join(channels.Moment)}"
)

RULES = (
    _rule(2, "ADMIN_ENABLED", FLAG, _is_flag),
    _rule(3, "STORAGES", STORAGES, _are_storages),
    _rule(4, "STORAGES_EXCLUDES", "a list of patterns such as '*.tmp'", _are_words),
    _rule(5, "DUMP_PATH", PATH, _is_path_or_none),
    _rule(6, "DUMP_PERMISSIONS", "an octal mode from 0o600 to 0o777, or None", _is_mode_or_none),
    _rule(7, "DUMP_FILENAME", "a pattern such as '{label}_{instant}' or None", _is_name_or_none),
    _rule(8, "DUMP_AUTO_PURGE", FLAG, _is_flag),
    _rule(9, "LOAD_STORAGES_PATH", PATH, _is_path_or_none),
    _rule(10, "LOAD_MINIMAL_FILESIZE", "a number of bytes", lambda v: _is_whole(v) and v >= 0),
    _rule(11, "DOWNLOAD_ALLOWED_PROTOCOLS", "a list such as ['https://']", _are_protocols),
    _rule(12, "DOWNLOAD_ALLOW_REDIRECT", FLAG, _is_flag),
    _rule(13, "DOWNLOAD_TIMEOUT", SECONDS, _is_seconds),
    _rule(14, "DOWNLOAD_CHUNK", "a number of bytes above 0", lambda v: _is_whole(v) and v > 0),
    _rule(15, "LABEL", "a name with a letter or digit, or None", _is_label_or_none),
    _rule(16, "WORKSPACE", PATH, _is_path_or_none),
    _rule(17, "DATABASE", "an alias of DATABASES", lambda v: v in conf.database_aliases()),
    _rule(18, "LEASE_SECONDS", SECONDS, _is_seconds),
    _rule(19, "QUEUE", QUEUE, _is_name_or_none),
    _rule(20, "LOAD_QUEUE", QUEUE, _is_name_or_none),
    _rule(21, "LOAD_ENABLED", FLAG, _is_flag),
    _rule(22, "SAFETY_DUMP", FLAG, _is_flag),
    _rule(
        23,
        "RETENTION",
        "a dict such as {'daily': 7}, or None",
        lambda v: v is None or isinstance(v, Mapping),
    ),
    _rule(
        55,
        "SCRATCH_DATABASE",
        "an alias of DATABASES or None",
        lambda v: v is None or (_is_name(v) and v in conf.databases()),
    ),
    _rule(60, "DRILL_CHECK", "the dotted path of a function or None", _is_name_or_none),
    _rule(80, "LOAD_EXPIRES", SECONDS, _is_seconds),
    _rule(81, "ENVIRONMENT", "a name such as 'production', or None", _is_name_or_none),
    _rule(
        40,
        "SCHEDULE",
        f"a dict of {', '.join(schedule.JOBS)}: seconds, a crontab such as '30 3 * * *', or None",
        _are_schedules,
    ),
    _rule(45, "VERIFY_SAMPLE", "a share such as '10%', up to '100%'", _is_share),
    _rule(
        70,
        "HEALTH",
        "a dict such as {'archive_hours': 26}",
        lambda v: isinstance(v, Mapping),
    ),
    _rule(
        71,
        "HISTORY",
        "a number of days above 0, or None",
        lambda v: v is None or (_is_positive(v) and v <= timedelta.max.days),
    ),
    _rule(65, "NOTIFY_MAIL", "a list of addresses, or None", _are_addresses_or_none),
    _rule(66, "NOTIFY_SECRET_URLS", SERVICES, _are_services, is_secret=True),
    _rule(67, "NOTIFY_SECRET_PINGS", PINGS, _are_pings, is_secret=True),
    _rule(68, "NOTIFY_SUCCESS", FLAG, _is_flag),
    _rule(69, "NOTIFY_TIMEOUT", SECONDS, _is_seconds),
)
"""One for each setting; numbers are never given twice. E001 is DISKETTE_APPS."""
