"""Archives that the retention no longer keeps, removed by a command, a task, a dump."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from diskette import tasks
from diskette.core import catalog
from diskette.core.plan import Kind
from diskette.models import Archive, Lock, Run
from diskette.steps import proofs, prune
from tests.commands.conftest import Done, run
from tests.core import samples

LABEL = "tests"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def nights(project, settings) -> list[Path]:
    """Three archives of three nights, oldest first, with the rows that their dumps left."""
    settings.DISKETTE_LABEL = LABEL
    project.archives.mkdir()
    made = [_made(project.archives, night) for night in range(3)]
    for path in made:
        Archive.objects.create(
            path=str(path),
            name=path.name,
            label=LABEL,
            instant=samples.INSTANT,
            bytes=path.stat().st_size,
            sha256="",
            verified_at=samples.INSTANT,
        )
    return made


def _made(directory: Path, night: int) -> Path:
    instant = samples.INSTANT - timedelta(days=3 - night)
    return samples.archive(directory, f"night{night}.tar", label=LABEL, instant=instant)


def verdicts(done: Done) -> list[str]:
    return [" ".join(line.split()[:2]) for line in done.out.splitlines()]


def left(project) -> list[str]:
    return sorted(path.name for path in project.archives.glob("*.tar"))


def test_a_dry_run_says_what_would_go_and_why_and_removes_nothing(project, nights):
    done = run("diskette_prune", "--dry-run", "--keep-last", "2")

    assert done.code == 0, done.err
    assert verdicts(done) == ["keep night2.tar", "keep night1.tar", "remove night0.tar"]
    assert "the newest whole one, last 1 of 2" in done.out
    assert "kept by none of: last 2" in done.out
    assert len(left(project)) == 3
    assert not Run.objects.exists()


def test_what_goes_is_gone_and_its_row_knows(project, nights):
    done = run("diskette_prune", "--no-input", "--keep-last", "1", "--format", "json")

    assert done.code == 0, done.err
    shape = json.loads(done.out)
    assert (shape["kind"], shape["state"]) == ("prune", "succeeded")
    assert (shape["stats"]["removed"], shape["stats"]["kept"]) == (2, 1)
    assert [each["keep"] for each in shape["archives"]] == [True, False, False]
    assert {each["code"] for each in shape["findings"]} == {"archive-removed"}
    assert left(project) == ["night2.tar"]
    assert set(Archive.objects.filter(removed_at=None).values_list("name", flat=True)) == {
        "night2.tar"
    }
    assert project.left_over() == []


def test_without_a_policy_nothing_goes(project, nights):
    done = run("diskette_prune", "--no-input")

    assert done.code == 0, done.err
    assert len(left(project)) == 3
    assert "every archive is kept" in done.out


def test_the_settings_policy_holds_and_another_label_is_left_alone(project, nights, settings):
    settings.DISKETTE_RETENTION = {"last": 1}
    samples.archive(project.archives, "other.tar", label="other")

    assert run("diskette_prune", "--no-input").code == 0
    assert left(project) == ["night2.tar", "other.tar"]


def test_a_dump_with_another_label_removes_none_of_those_who_bear_it(project, nights, settings):
    settings.DISKETTE_LABEL = "mine"
    settings.DISKETTE_RETENTION = {"last": 1}
    done = run("diskette_dump", "--label", LABEL)

    assert done.code == 0, done.err
    assert left(project) == sorted([*(each.name for each in nights), Path(done.last_line).name])


def test_what_is_damaged_is_named_and_stays(project, nights):
    nights[2].write_bytes(b"cut off")
    (project.archives / "tests_20261122T020000Z_data.tar").write_bytes(b"cut off")

    done = run("diskette_prune", "--no-input", "--keep-last", "1")

    assert done.code == 0, done.err
    assert left(project) == ["night1.tar", "night2.tar", "tests_20261122T020000Z_data.tar"]
    assert "info [archive-set-aside] night2.tar" in done.err
    assert "warning [archive-set-aside] tests_20261122T020000Z_data.tar" in done.err


def test_what_cannot_be_removed_is_told_and_the_rest_goes(project, nights, monkeypatch):
    unlink = Path.unlink

    def refuse(path: Path, *args: object, **options: object) -> None:
        if path == nights[0]:
            raise PermissionError(13, "Permission denied")
        unlink(path, *args, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    done = run("diskette_prune", "--no-input", "--keep-last", "1")

    assert done.code == 4
    assert left(project) == ["night0.tar", "night2.tar"]
    assert "error [archive-not-removed] night0.tar" in done.err
    assert Archive.objects.get(name="night0.tar").removed_at is None


def test_what_a_prune_that_was_cut_off_removed_is_known_to_the_next(project, nights):
    nights[0].unlink()

    assert run("diskette_prune", "--no-input").code == 0
    assert Archive.objects.get(name="night0.tar").removed_at is not None


def test_beside_another_run_it_is_refused(project, nights):
    other = Run.objects.create(kind=Kind.DUMP, state="running", inline=False)
    Lock.objects.create(name="project", run=other)

    done = run("diskette_prune", "--no-input", "--keep-last", "1")

    assert done.code == 3
    assert len(left(project)) == 3


@pytest.mark.parametrize(
    "words",
    [["--keep-last", "0"], ["--keep-within", "soon"], ["--destination", "/nowhere/at/all"]],
)
def test_an_option_that_cannot_be_obeyed_is_used_wrongly_and_named(project, nights, words):
    done = run("diskette_prune", "--no-input", *words)
    assert done.code == 2
    assert words[0] in done.err or words[1] in done.err
    assert len(left(project)) == 3


@pytest.mark.parametrize(("answer", "code", "count"), [("no", 1, 3), ("yes", 0, 1)])
def test_on_a_terminal_it_asks(project, nights, monkeypatch, answer, code, count):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: answer)

    assert run("diskette_prune", "--keep-last", "1").code == code
    assert len(left(project)) == count


def test_an_archive_that_was_proven_stays(project, nights):
    Archive.objects.filter(path=str(nights[0])).update(
        proven_at=samples.INSTANT, bytes=nights[0].stat().st_size
    )

    assert run("diskette_prune", "--no-input", "--keep-last", "1").code == 0
    assert left(project) == ["night0.tar", "night2.tar"]


def test_of_the_archives_that_are_long_gone_no_row_is_read(project, nights):
    """A site has made thousands more than it keeps."""
    about = {"proven_at": samples.INSTANT, "damaged_at": samples.INSTANT}
    Archive.objects.update(**about)
    Archive.objects.create(
        path="/gone.tar", name="gone.tar", label=LABEL, instant=samples.INSTANT, bytes=1, **about
    )

    archives = catalog.find(project.archives)

    rows = proofs.rows_of(archives)
    assert sorted(row.name for row in rows) == ["night0.tar", "night1.tar", "night2.tar"]
    known = list(prune.with_history(archives))
    assert [each.proven_at for each in known] == 3 * [samples.INSTANT]
    assert [each.damaged_at for each in known] == 3 * [samples.INSTANT]


def test_a_message_begins_a_prune_and_returns_its_id(project, nights, settings, monkeypatch):
    settings.DISKETTE_RETENTION = {"last": 1}
    monkeypatch.setattr("diskette.messages.send", lambda steps: None)

    made = Run.objects.get(pk=tasks.prune())
    assert (made.kind, made.state) == ("prune", "running")
    assert len(left(project)) == 3

    tasks.prune(str(made.steps.get(name="prune").pk))
    tasks.STEP_TASKS["finish"](str(made.steps.get(name="finish").pk))
    made.refresh_from_db()
    assert made.state == "succeeded"
    assert left(project) == ["night2.tar"]


def test_a_dump_removes_what_is_kept_no_longer_and_says_so(project, settings):
    settings.DISKETTE_RETENTION = {"last": 1}
    first = Path(run("diskette_dump").last_line)

    done = run("diskette_dump")

    assert done.code == 0, done.err
    assert left(project) == [Path(done.last_line).name]
    assert f"info [archive-removed] {first.name}" in done.err
    assert Archive.objects.get(name=first.name).removed_at is not None


def test_a_dump_of_one_application_pushes_no_whole_one_out(project, settings):
    settings.DISKETTE_RETENTION = {"last": 1}
    whole = Path(run("diskette_dump", "--no-storages").last_line)

    assert run("diskette_dump", "--no-storages", "--app", "accounts").code == 0
    assert whole.exists()
