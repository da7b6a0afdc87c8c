from __future__ import annotations

import pytest

from diskette.core.exceptions import ConfigurationError
from diskette.storages import live_path, resolve


@pytest.fixture
def base(tmp_path, settings):
    """A project's directory, with its settings."""
    project = tmp_path / "project"
    for name in ("media", "var/media", "var/documents"):
        (project / name).mkdir(parents=True)
    settings.DISKETTE_LOAD_STORAGES_PATH = project
    settings.DISKETTE_DUMP_PATH = tmp_path / "backups"
    settings.DISKETTE_WORKSPACE = None
    settings.DISKETTE_STORAGES = [project / "media", project / "var" / "media"]
    settings.DISKETTE_STORAGES_EXCLUDES = ["cache/*"]
    return project


def problems(settings, *storages) -> tuple[str, ...]:
    settings.DISKETTE_STORAGES = list(storages)
    with pytest.raises(ConfigurationError) as refused:
        resolve()
    return refused.value.problems


def test_storages_are_named_by_their_path_beneath_the_base(base):
    first, second = resolve()

    assert (first.name, first.root, first.excludes) == ("media", base / "media", ("cache/*",))
    assert (second.name, second.root) == ("var/media", base / "var" / "media")


def test_a_storage_may_have_patterns_of_its_own(base, settings):
    own = {"excludes": ["*.tmp", "thumbnails*"]}
    settings.DISKETTE_STORAGES = [[base / "media", own], (base / "var" / "media", {})]

    assert [each.excludes for each in resolve()] == [
        ("cache/*", "*.tmp", "thumbnails*"),
        ("cache/*",),
    ]


def test_without_storages_there_are_none(base, settings):
    settings.DISKETTE_STORAGES = []

    assert resolve() == ()


def test_the_base_is_where_the_process_runs_unless_it_is_set(base, settings, monkeypatch):
    settings.DISKETTE_LOAD_STORAGES_PATH = None
    monkeypatch.chdir(base)

    assert [storage.name for storage in resolve()] == ["media", "var/media"]


def test_a_path_is_put_straight(base, settings):
    settings.DISKETTE_STORAGES = [base / "var" / ".." / "media"]

    (storage,) = resolve()

    assert (storage.name, storage.root) == ("media", base / "media")


def test_a_storage_that_is_a_link_keeps_its_name(base, settings, tmp_path):
    (tmp_path / "disk").mkdir()
    (base / "uploads").symlink_to(tmp_path / "disk")
    settings.DISKETTE_STORAGES = [base / "uploads"]

    assert [storage.name for storage in resolve()] == ["uploads"]


def test_every_problem_is_told_at_once(base, settings, tmp_path):
    (base / "file").touch()
    (base / "bad\nname").mkdir()
    found = problems(
        settings,
        str(base / "media"),
        base / "gone",
        base / "file",
        tmp_path,
        base,
        base / "bad\nname",
        base.relative_to(base.parent) / "media",
    )

    causes = (
        "is no pathlib.Path. Write Path('",
        "gone does not exist. Make it, or remove it",
        "file is a file. Name the directory",
        f"{tmp_path} does not lie beneath {base}. Set DISKETTE_LOAD_STORAGES_PATH",
        f"{base} does not lie beneath {base}",
        "its name is not printable text",
        "is not absolute",
    )
    assert len(found) == len(causes)
    for problem, cause in zip(found, causes, strict=True):
        assert cause in problem


def test_storages_in_one_another_or_named_twice_are_refused(base, settings):
    (base / "link").symlink_to(base / "media")
    found = problems(
        settings,
        base / "media",
        base / "var",
        base / "var" / "media",
        base / "media",
        base / "link",
    )

    assert len(found) == 4
    assert "lie in one another" in found[0]
    assert all("is named twice" in problem for problem in found[1:])


def test_a_storage_that_holds_archives_workspaces_or_databases_is_refused(
    base, settings, monkeypatch
):
    settings.DISKETTE_DUMP_PATH = base / "media" / "backups"
    settings.DISKETTE_WORKSPACE = base / "var" / "documents"
    sqlite = "django.db.backends.sqlite3"
    for alias, engine, name in (
        ("file", sqlite, base / "var" / "media" / "db"),
        ("memory", sqlite, ":memory:"),
        ("shared", sqlite, f"file:{base}/media/db?mode=memory"),
        ("server", "django.db.backends.postgresql", str(base / "media")),
    ):
        monkeypatch.setitem(settings.DATABASES, alias, {"ENGINE": engine, "NAME": name})
    found = problems(settings, base / "media", base / "var" / "media", base / "var" / "documents")

    assert len(found) == 3
    assert "backups, where archives are kept (DISKETTE_DUMP_PATH): a load would" in found[0]
    assert "db, a database: a load would" in found[1]
    assert "where runs work (DISKETTE_WORKSPACE): a load would" in found[2]


def test_a_load_may_make_a_storage_that_is_missing(base):
    (base / "media").rmdir()

    assert live_path("media") == base / "media"
    with pytest.raises(ConfigurationError, match="does not exist"):
        resolve()


@pytest.mark.parametrize("name", ["documents", "var", "../backups", "media/", "/etc"])
def test_an_archive_may_only_write_where_this_project_keeps_files(base, name):
    with pytest.raises(ConfigurationError, match="which is none of this project's") as refused:
        live_path(name)

    assert "--no-storages" in str(refused.value)
