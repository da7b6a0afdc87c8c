"""A project with rows and media, driven by its commands in this process."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command

APPS = [["accounts", {"models": ["auth.User", "auth.Group"], "natural_foreign": True}]]


@dataclass(frozen=True)
class Done:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.strip().splitlines()[-1]


def run(*words: str, **options) -> Done:
    """A command as the shell would see it."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*words, stdout=out, stderr=err, **options)
    except CommandError as error:
        return Done(error.returncode, out.getvalue(), f"{err.getvalue()}{error}")
    except SystemExit as error:
        return Done(int(error.code or 0), out.getvalue(), err.getvalue())
    return Done(0, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Project:
    base: Path

    @property
    def media(self) -> Path:
        return self.base / "media"

    @property
    def archives(self) -> Path:
        return self.base / "archives"

    @property
    def workspace(self) -> Path:
        return self.base / "workspace"

    def left_over(self) -> list[str]:
        """Whatever a run should have cleared."""
        places = [
            *self.workspace.glob("*"),
            *self.archives.glob(".*"),
            *self.base.glob(".*diskette*"),
        ]
        return [str(path.relative_to(self.base)) for path in places]


@pytest.fixture
def project(settings, tmp_path, transactional_db) -> Project:
    project = Project(tmp_path)
    settings.DISKETTE_APPS = APPS
    settings.DISKETTE_STORAGES = [project.media]
    settings.DISKETTE_LOAD_STORAGES_PATH = tmp_path
    settings.DISKETTE_DUMP_PATH = project.archives
    settings.DISKETTE_WORKSPACE = project.workspace
    settings.DISKETTE_SAFETY_DUMP = False
    (project.media / "sub").mkdir(parents=True)
    (project.media / "a.txt").write_text("a")
    (project.media / "sub" / "b.txt").write_text("b")
    editors = Group.objects.create(name="editors")
    User.objects.create_user("ada", password="secret").groups.add(editors)
    return project


@pytest.fixture
def archive(project: Project) -> Path:
    done = run("diskette_dump")
    assert done.code == 0, done.err
    return Path(done.last_line)
