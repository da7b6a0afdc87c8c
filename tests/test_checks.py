from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import checks as django_checks
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from diskette import checks, conf

A_PATH = Path("/srv/media")


@pytest.fixture
def plain(settings: Any) -> Any:
    """A project that sets nothing of Diskette's."""
    for name in dir(settings):
        if name.startswith("DISKETTE_"):
            delattr(settings, name)
    return settings


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("diskette.") for message in messages]


def found(project: Any, **values: Any) -> list[CheckMessage]:
    for name, value in values.items():
        setattr(project, f"DISKETTE_{name}", value)
    return [*checks.check_settings(), *checks.check_definitions()]


def test_every_setting_has_one_check():
    checked = ["DISKETTE_APPS", *(rule.setting for rule in checks.RULES)]
    assert sorted(checked) == sorted(conf.DEFAULTS)
    assert len({rule.id for rule in checks.RULES} | {"diskette.E001"}) == len(conf.DEFAULTS)


def test_a_storage_may_have_patterns_of_its_own(plain):
    storages = [A_PATH, [A_PATH / "a", {"excludes": ["*.tmp"]}], (A_PATH / "b", {})]
    assert {*ids(found(plain, STORAGES=storages))} == {"W005"}  # they do not exist here


def test_the_defaults_are_fine(plain):
    assert found(plain) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADMIN_ENABLED", False),
        ("STORAGES_EXCLUDES", ("*.tmp",)),
        ("DUMP_PATH", A_PATH),
        ("DUMP_PATH", "backups"),
        ("DUMP_PERMISSIONS", 0o700),
        ("DUMP_PERMISSIONS", None),
        ("DUMP_FILENAME", "diskette{features}.tar.gz"),
        ("DUMP_FILENAME", "{label}-{date}{features}.tar"),
        ("DUMP_AUTO_PURGE", False),
        ("LOAD_STORAGES_PATH", A_PATH),
        ("LOAD_MINIMAL_FILESIZE", 0),
        ("DOWNLOAD_ALLOWED_PROTOCOLS", ["https://"]),
        ("DOWNLOAD_ALLOW_REDIRECT", True),
        ("DOWNLOAD_TIMEOUT", 0.5),
        ("DOWNLOAD_CHUNK", 1),
        ("LABEL", "Our shop"),
        ("WORKSPACE", A_PATH),
        ("DATABASE", "postgresql"),
        ("LEASE_SECONDS", 0.5),
        ("QUEUE", "dumps"),
        ("LOAD_QUEUE", "loads"),
        ("LOAD_ENABLED", True),
        ("SAFETY_DUMP", False),
        ("SCRATCH_DATABASE", "postgresql"),
        ("SCHEDULE", {"dump": "0 4 * * mon-fri", "sweep": None}),
        ("RETENTION", {"daily": 7, "within": "2w", "safety": {"last": 3}}),
        ("HEALTH", {"archive_hours": 50, "workers": None}),
        ("HISTORY", 0.5),
        ("HISTORY", None),
        ("APPS", (("groups", {"models": "auth.Group"}),)),
    ],
)
def test_a_value_of_its_kind_is_accepted(plain, name, value):
    assert found(plain, **{name: value}) == []


@pytest.mark.parametrize(
    ("id_", "name", "value"),
    [
        ("E001", "APPS", "auth"),
        ("E001", "APPS", ["auth"]),
        ("E001", "APPS", [["auth", {"models": "auth.user"}]]),
        ("E002", "ADMIN_ENABLED", "no"),
        ("E003", "STORAGES", ["/srv/media"]),
        ("E003", "STORAGES", [Path("media")]),
        ("E003", "STORAGES", A_PATH),
        ("E003", "STORAGES", [[A_PATH, {"exclude": ["*.tmp"]}]]),
        ("E003", "STORAGES", [[A_PATH, {"excludes": "*.tmp"}]]),
        ("E003", "STORAGES", [[A_PATH, ["*.tmp"]]]),
        ("E003", "STORAGES", [[A_PATH]]),
        ("E003", "STORAGES", None),
        ("E004", "STORAGES_EXCLUDES", "*.tmp"),
        ("E004", "STORAGES_EXCLUDES", [1]),
        ("E005", "DUMP_PATH", 1),
        ("E005", "DUMP_PATH", ""),
        ("E006", "DUMP_PERMISSIONS", 600),
        ("E006", "DUMP_PERMISSIONS", "0600"),
        ("E006", "DUMP_PERMISSIONS", 0o400),
        ("E006", "DUMP_PERMISSIONS", -1),
        ("E006", "DUMP_PERMISSIONS", True),
        ("E007", "DUMP_FILENAME", 1),
        ("E007", "DUMP_FILENAME", ""),
        ("E007", "DUMP_FILENAME", "{nope}.tar"),
        ("E007", "DUMP_FILENAME", "daily/{label}.tar"),
        ("E008", "DUMP_AUTO_PURGE", None),
        ("E009", "LOAD_STORAGES_PATH", []),
        ("E010", "LOAD_MINIMAL_FILESIZE", -1),
        ("E010", "LOAD_MINIMAL_FILESIZE", "6"),
        ("E010", "LOAD_MINIMAL_FILESIZE", True),
        ("E011", "DOWNLOAD_ALLOWED_PROTOCOLS", "https://"),
        ("E011", "DOWNLOAD_ALLOWED_PROTOCOLS", ["https"]),
        ("E012", "DOWNLOAD_ALLOW_REDIRECT", 1),
        ("E013", "DOWNLOAD_TIMEOUT", 0),
        ("E013", "DOWNLOAD_TIMEOUT", None),
        ("E014", "DOWNLOAD_CHUNK", 0),
        ("E014", "DOWNLOAD_CHUNK", 1.5),
        ("E015", "LABEL", "?!"),
        ("E015", "LABEL", 7),
        ("E016", "WORKSPACE", False),
        ("E017", "DATABASE", "nowhere"),
        ("E017", "DATABASE", None),
        ("E018", "LEASE_SECONDS", 0),
        ("E018", "LEASE_SECONDS", "60"),
        ("E019", "QUEUE", ""),
        ("E020", "LOAD_QUEUE", ["loads"]),
        ("E021", "LOAD_ENABLED", "True"),
        ("E022", "SAFETY_DUMP", 0),
        ("E055", "SCRATCH_DATABASE", "nowhere"),
        ("E055", "SCRATCH_DATABASE", ["postgresql"]),
        ("E040", "SCHEDULE", {"dumb": 60}),
        ("E040", "SCHEDULE", {"dump": "nightly"}),
        ("E040", "SCHEDULE", {"dump": []}),
        ("E040", "SCHEDULE", "30 3 * * *"),
        ("E071", "HISTORY", 0),
        ("E071", "HISTORY", "365"),
        ("E071", "HISTORY", 1e12),
        ("E070", "HEALTH", 26),
        ("E070", "HEALTH", {"archive_hour": 26}),
        ("E070", "HEALTH", {"failures": 0}),
        ("E070", "HEALTH", {"workers": True}),
        ("E023", "RETENTION", 7),
        ("E023", "RETENTION", {"last": 0}),
        ("E023", "RETENTION", {"dayly": 3}),
    ],
)
def test_a_value_of_another_kind_is_an_error(plain, id_, name, value):
    (message,) = found(plain, **{name: value})
    assert ids([message]) == [id_]
    assert message.level == django_checks.ERROR
    assert f"DISKETTE_{name}" in message.msg or id_ == "E001"


def test_every_error_is_told_with_its_cure(plain):
    messages = found(plain, RETENTION=0, QUEUE="", DUMP_FILENAME=3, DUMP_PERMISSIONS="")
    assert ids(messages) == ["E006", "E007", "E019", "E023"]
    assert messages[0].msg == (
        "DISKETTE_DUMP_PERMISSIONS must be an octal mode from 0o600 to 0o777, or None, not ''."
    )
    assert messages[-1].hint == "Correct it, or remove it for its default, None."


def test_each_mistake_in_the_retention_is_an_error_of_its_own(plain):
    messages = found(plain, QUEUE="", RETENTION={"last": 0, "dayly": 7})
    assert ids(messages) == ["E019", "E023", "E023"]
    assert "Did you mean 'daily'?" in messages[2].msg


def test_each_problem_of_a_definition_is_an_error_of_its_own(plain):
    messages = found(plain, APPS=[["a", {"models": "auth.user"}], ["b", {}]])
    assert ids(messages) == ["E001", "E001"]


def test_an_order_that_had_to_be_corrected_is_a_warning(plain):
    messages = found(
        plain,
        APPS=[["logs", {"models": "admin"}], ["users", {"models": "auth"}]],
    )
    assert ids(messages) == ["W001"]
    assert "admin.LogEntry.user refers to auth.User" in messages[0].msg
    assert messages[0].hint == "Move 'users' before 'logs' in DISKETTE_APPS."


@pytest.mark.parametrize(
    "other",
    [
        {"HOST": "localhost", "PORT": ""},
        {"HOST": "", "PORT": 5432},
        {"HOST": "/run/postgresql"},
        {"HOST": "", "OPTIONS": {"host": "127.0.0.1"}},
        {"ENGINE": "django.contrib.gis.db.backends.postgis"},
        {"NAME": "another", "TEST": {"MIRROR": "scratch"}},
    ],
)
def test_a_scratch_database_that_is_a_live_one_is_an_error(plain, monkeypatch, other):
    place = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "HOST": "127.0.0.1"}
    databases = {"default": place | other, "scratch": place, "elsewhere": place | {"PORT": 1}}
    monkeypatch.setattr(conf, "databases", lambda: databases)
    (message,) = found(plain, SCRATCH_DATABASE="scratch")
    assert ids([message]) == ["E056"]
    assert "the live database 'default'" in message.msg


def test_a_scratch_database_of_its_own_is_fine(plain, monkeypatch):
    place = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "HOST": "db"}
    databases = {"default": place, "scratch": place | {"NAME": "scratch"}}
    monkeypatch.setattr(conf, "databases", lambda: databases)
    assert found(plain, SCRATCH_DATABASE="scratch") == []


@pytest.mark.parametrize("alias", ["default", "elsewhere"])
def test_neither_default_nor_diskettes_own_database_is_a_scratch(plain, monkeypatch, alias):
    databases = {"default": {"NAME": "a"}, "elsewhere": {"NAME": "b"}}
    monkeypatch.setattr(conf, "databases", lambda: databases)
    assert "E056" in ids(found(plain, SCRATCH_DATABASE=alias, DATABASE="elsewhere"))


def test_a_misspelt_setting_is_a_warning(plain):
    messages = found(plain, STORAGE=[A_PATH], ZZZ=1)
    assert ids(messages) == ["W002", "W002"]
    assert messages[0].hint == "Did you mean DISKETTE_STORAGES?"
    assert messages[1].hint == "docs/settings.md lists those there are."


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o755])
def test_archives_that_others_may_read_are_a_warning(plain, mode):
    (message,) = found(plain, DUMP_PERMISSIONS=mode)
    assert ids([message]) == ["W003"]
    assert f"{mode:#o}" in message.msg


def test_a_dump_of_nothing_is_a_warning(plain):
    assert ids(found(plain, APPS=[])) == ["W004"]


def test_storages_that_cannot_be_dumped_as_they_are_are_warnings(plain, tmp_path):
    plain.DISKETTE_LOAD_STORAGES_PATH = tmp_path
    media, lost = tmp_path / "media", tmp_path / "lost"
    media.mkdir()
    plain.DISKETTE_WORKSPACE = tmp_path / "runs"
    assert found(plain, STORAGES=[media], DUMP_PATH=tmp_path / "dumps") == []
    (message,) = found(plain, STORAGES=[media], DUMP_PATH=media / "dumps")
    assert ids([message]) == ["W005"]
    assert "where archives are kept" in message.msg
    messages = found(plain, STORAGES=[media, lost, tmp_path], DUMP_PATH=tmp_path / "dumps")
    assert ids(messages) == ["W005", "W005"]
    assert "does not exist" in messages[0].msg


def test_django_runs_the_checks(plain):
    plain.DISKETTE_RETENTION = {"last": 0}
    with pytest.raises(SystemCheckError, match=r"diskette\.E023"):
        call_command("check", "--tag", "diskette")
