"""The one reader of Django's settings.

Every setting is looked up when asked for, so a test's override works and nothing is
stale in a long-lived worker. Types and defaults stand here; docs/settings.md explains
each, and checks.py reports a value of the wrong kind before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.text import slugify

from diskette.core.catalog import share_of
from diskette.core.exceptions import ConfigurationError
from diskette.core.limits import Limits
from diskette.core.retention import Retention

DEFAULTS: Mapping[str, Any] = {
    "DISKETTE_ADMIN_ENABLED": True,
    "DISKETTE_APPS": None,
    "DISKETTE_STORAGES": (),
    "DISKETTE_STORAGES_EXCLUDES": (),
    "DISKETTE_DUMP_PATH": None,
    "DISKETTE_DUMP_PERMISSIONS": 0o600,
    "DISKETTE_DUMP_FILENAME": None,
    "DISKETTE_DUMP_AUTO_PURGE": True,
    "DISKETTE_LOAD_STORAGES_PATH": None,
    "DISKETTE_LOAD_MINIMAL_FILESIZE": 6,
    "DISKETTE_DOWNLOAD_ALLOWED_PROTOCOLS": ("http://", "https://"),
    "DISKETTE_DOWNLOAD_ALLOW_REDIRECT": False,
    "DISKETTE_DOWNLOAD_TIMEOUT": 10,
    "DISKETTE_DOWNLOAD_CHUNK": 8192,
    "DISKETTE_LABEL": None,
    "DISKETTE_WORKSPACE": None,
    "DISKETTE_DATABASE": "default",
    "DISKETTE_LEASE_SECONDS": 60,
    "DISKETTE_QUEUE": None,
    "DISKETTE_LOAD_QUEUE": None,
    "DISKETTE_LOAD_ENABLED": False,
    "DISKETTE_LOAD_EXPIRES": 60 * 60,
    "DISKETTE_ENVIRONMENT": None,
    "DISKETTE_SAFETY_DUMP": True,
    "DISKETTE_SCRATCH_DATABASE": None,
    "DISKETTE_DRILL_CHECK": None,
    "DISKETTE_SCHEDULE": {},
    "DISKETTE_RETENTION": None,
    "DISKETTE_VERIFY_SAMPLE": "10%",
    "DISKETTE_HEALTH": {},
    "DISKETTE_HISTORY": 365,
    "DISKETTE_NOTIFY_MAIL": None,
    "DISKETTE_NOTIFY_SECRET_URLS": (),
    "DISKETTE_NOTIFY_SECRET_PINGS": {},
    "DISKETTE_NOTIFY_SUCCESS": False,
    "DISKETTE_NOTIFY_TIMEOUT": 10,
}
"""Every setting and what it is when absent."""

MOST_SECONDS = 365 * 24 * 60 * 60
"""What waits longer waits for ever; clocks and sockets know no such numbers."""

SCHEDULE: Mapping[str, str | float | None] = {
    "sweep": 60,
    "dump": "30 3 * * *",
    "health": "10 * * * *",
}
"""What beat does unless DISKETTE_SCHEDULE says otherwise: seconds, or a crontab.

The night's hour is none that a change of the clock repeats or leaves out.
"""


def get(name: str) -> Any:
    return getattr(settings, name, DEFAULTS[name])


def unknown() -> tuple[str, ...]:
    """Names in the settings that begin as ours do but are none of ours."""
    named = {name for name in dir(settings) if name.startswith("DISKETTE_")}
    return tuple(sorted(named - DEFAULTS.keys()))


def applications() -> Sequence[Any] | None:
    """`DISKETTE_APPS` as written; None: definitions are made from what is installed.

    Raises ConfigurationError for what is no list.
    """
    value = get("DISKETTE_APPS")
    if value is not None and not isinstance(value, (list, tuple)):
        raise ConfigurationError(
            f"DISKETTE_APPS must be a list of [name, {{parameters}}], not {value!r:.60}. "
            "manage.py diskette_apps prints one."
        )
    return None if value is None else tuple(value)


def storages() -> tuple[tuple[Any, tuple[str, ...]], ...]:
    """Each storage's path as written, and the patterns of what is left out of it alone."""
    return tuple(map(_path_and_excludes, get("DISKETTE_STORAGES")))


def _path_and_excludes(entry: Any) -> tuple[Any, tuple[str, ...]]:
    match entry:
        case (path, {"excludes": [*excludes]}):
            return path, tuple(excludes)
        case (path, {}):
            return path, ()
    return entry, ()


def storages_excludes() -> tuple[str, ...]:
    return tuple(get("DISKETTE_STORAGES_EXCLUDES"))


def storages_base() -> Path:
    """Where storages lie; an archive names each relative to it."""
    return Path(get("DISKETTE_LOAD_STORAGES_PATH") or Path.cwd()).absolute()


def destination() -> Path:
    """The directory where archives are kept."""
    return Path(get("DISKETTE_DUMP_PATH") or Path.cwd()).absolute()


def workspace_root() -> Path:
    """Parent of the runs' private directories; every worker must see the same one."""
    return Path(get("DISKETTE_WORKSPACE") or destination() / ".diskette").absolute()


def archive_mode() -> int:
    value = get("DISKETTE_DUMP_PERMISSIONS")
    return 0o600 if value is None else int(value)


def filename_pattern() -> str | None:
    return None if (value := get("DISKETTE_DUMP_FILENAME")) is None else str(value)


def label() -> str:
    """The project's name in archives: the setting, or the settings module's first word."""
    module = getattr(settings, "SETTINGS_MODULE", None) or "project"
    return slugify(str(get("DISKETTE_LABEL") or module.split(".")[0])) or "project"


def environment() -> str:
    """What this deployment is called, such as `production`; "" where it has no name."""
    return str(get("DISKETTE_ENVIRONMENT") or "").strip()


def database() -> str:
    """Alias of the database that keeps Diskette's own rows."""
    return str(get("DISKETTE_DATABASE"))


def databases() -> Mapping[str, Mapping[str, Any]]:
    """`DATABASES` as written."""
    return dict(settings.DATABASES)


def database_aliases() -> tuple[str, ...]:
    """Every database that the project lives in."""
    return tuple(alias for alias in databases() if alias != scratch_database())


def configured_alias(alias: str) -> str:
    """The alias in `DATABASES` of a connection that a run made beside it, `<alias>@<name>`.

    Routers are asked by that one: no other is known to them.
    """
    return alias if alias in settings.DATABASES else alias.rpartition("@")[0] or alias


def stand_in(databases: Mapping[str, Any]) -> None:
    """Let these be what their aliases lead to, in a process that has not set Django up yet."""
    settings.DATABASES = {**settings.DATABASES, **databases}


def scratch_database() -> str | None:
    """Alias of an empty database to be filled and emptied at will; None: they are made."""
    return None if (value := get("DISKETTE_SCRATCH_DATABASE")) is None else str(value)


def drill_check() -> str | None:
    """Dotted path of the project's own check of what a drill restored; None: it has none."""
    return None if (value := get("DISKETTE_DRILL_CHECK")) is None else str(value)


def media_root() -> Path:
    return Path(settings.MEDIA_ROOT).absolute()


def stand_in_media(path: Path) -> None:
    """Let this be where media lie, in a process that has opened none yet."""
    settings.MEDIA_ROOT = str(path)


def database_files() -> tuple[Path, ...]:
    """The files of the project's SQLite databases."""
    names = [
        database["NAME"]
        for database in settings.DATABASES.values()
        if database.get("ENGINE", "").endswith("sqlite3") and database.get("NAME")
    ]
    files = [Path(name) for name in names if not str(name).startswith((":memory:", "file:"))]
    return tuple(path.absolute() for path in files)


def lease() -> timedelta:
    """How long a step stays its taker's without a sign of life."""
    return timedelta(seconds=float(get("DISKETTE_LEASE_SECONDS")))


def queue() -> str | None:
    """The queue for dump steps; None: Celery's default queue."""
    return None if (value := get("DISKETTE_QUEUE")) is None else str(value)


def load_queue() -> str | None:
    """The queue for load steps; None: the same as dump steps'."""
    return queue() if (value := get("DISKETTE_LOAD_QUEUE")) is None else str(value)


def load_enabled() -> bool:
    """Whether a bare message `diskette.load` is obeyed."""
    return bool(get("DISKETTE_LOAD_ENABLED"))


def load_expires() -> timedelta:
    """How long a load that was approved may wait for its first step to be taken."""
    return timedelta(seconds=float(get("DISKETTE_LOAD_EXPIRES")))


def safety_dump() -> bool:
    return bool(get("DISKETTE_SAFETY_DUMP"))


def retention() -> Retention | None:
    """Which archives are kept; None: all. Raises ConfigurationError with every problem."""
    value = get("DISKETTE_RETENTION")
    return None if value is None else Retention.from_setting(value)


def now() -> datetime:
    """In the project's time zone, in which its days begin; aware whatever USE_TZ says."""
    return datetime.now(timezone.get_default_timezone())


def aware(instant: datetime | None) -> datetime | None:
    """A row's instant, whatever USE_TZ says of it."""
    return timezone.make_aware(instant) if instant and timezone.is_naive(instant) else instant


def auto_purge() -> bool:
    """Whether a dump removes archives that are no longer kept."""
    return bool(get("DISKETTE_DUMP_AUTO_PURGE"))


def verify_sample() -> float:
    """The share of the archives that the task `diskette.verify` examines, up to 1."""
    return share_of(str(get("DISKETTE_VERIFY_SAMPLE")))


def minimal_filesize() -> int:
    return int(get("DISKETTE_LOAD_MINIMAL_FILESIZE"))


def schedule() -> Mapping[str, str | float | None]:
    """When beat does what: seconds, a crontab, or None for never.

    Raises ConfigurationError for what is no dict.
    """
    value = get("DISKETTE_SCHEDULE")
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"DISKETTE_SCHEDULE must be a dict of jobs, not {value!r:.60}. Write it as "
            "{'dump': '30 3 * * *'}, or remove it for its default."
        )
    return {**SCHEDULE, **value}


def is_scheduled(job: str) -> bool:
    """Whether beat is to send it."""
    return schedule().get(job) is not None


def health() -> Limits:
    """From where on the backups are in trouble. Raises ConfigurationError with every problem."""
    return Limits.from_setting(get("DISKETTE_HEALTH"))


def history() -> timedelta | None:
    """How long ended runs are kept; None: for ever."""
    return None if (value := get("DISKETTE_HISTORY")) is None else timedelta(days=float(value))


def time_zone() -> tzinfo:
    """The project's, whether or not it stores aware instants."""
    return ZoneInfo(settings.TIME_ZONE)


def notify_mail() -> tuple[str, ...]:
    """Addresses that messages go to: the setting's, or those of ADMINS."""
    value = get("DISKETTE_NOTIFY_MAIL")
    people = settings.ADMINS if value is None else value
    return tuple(each if isinstance(each, str) else each[1] for each in people)


def notify_urls() -> tuple[str, ...]:
    """Services that messages go to, as apprise writes them; secrets."""
    return tuple(get("DISKETTE_NOTIFY_SECRET_URLS"))


def notify_pings() -> Mapping[str, Mapping[str, str]]:
    """By kind of run and moment (`start`, `success`, `fail`), what is asked for; secrets."""
    given = get("DISKETTE_NOTIFY_SECRET_PINGS").items()
    return {kind: ping if isinstance(ping, Mapping) else _pings(ping) for kind, ping in given}


def _pings(url: str) -> Mapping[str, str]:
    """The addresses of healthchecks.io and what is like it."""
    parts = urlsplit(url)
    base = parts.path.rstrip("/")
    return {
        "start": parts._replace(path=f"{base}/start").geturl(),
        "success": url,
        "fail": parts._replace(path=f"{base}/fail").geturl(),
    }


def notify_success() -> bool:
    """Whether each success is told, too."""
    return bool(get("DISKETTE_NOTIFY_SUCCESS"))


def notify_timeout() -> float:
    """Seconds that sending may take."""
    return float(get("DISKETTE_NOTIFY_TIMEOUT"))


def server_email() -> str:
    """Whom the project's own messages come from."""
    return str(settings.SERVER_EMAIL)


def email_subject_prefix() -> str:
    return str(settings.EMAIL_SUBJECT_PREFIX)


def installed(application: str) -> bool:
    return application in settings.INSTALLED_APPS


def use_tz() -> bool:
    return bool(settings.USE_TZ)


def settings_module() -> str:
    return str(settings.SETTINGS_MODULE)
