"""A byte is flipped at every thousandth offset of an archive: each is found, in time."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from django.contrib.auth.models import Group, User

from diskette.core.plan import Kind
from diskette.doctor import archives
from diskette.doctor.archives import State
from diskette.models import Run, Step
from tests.commands.conftest import run
from tests.commands.test_verify import flip
from tests.storages.trees import look

EVERY = 1000

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def larger(project) -> Path:
    """An archive of some rows, and of files that shrink and that do not."""
    random = Random(7)
    User.objects.bulk_create(
        User(username=f"user{number}", email=random.randbytes(9).hex()) for number in range(300)
    )
    for number in range(12):
        (project.media / f"{number}.bin").write_bytes(random.randbytes(9000))
        (project.media / f"{number}.txt").write_text("plain words " * 500)
    return Path(run("diskette_dump").last_line)


def test_verifying_finds_each(larger):
    raw = larger.read_bytes()
    unseen = []
    for place in range(0, len(raw), EVERY):
        flip(larger, place)
        if archives.examine(larger).state is State.WHOLE:
            unseen.append(place)
        flip(larger, place)

    assert unseen == []
    assert len(raw) > 100 * EVERY
    assert larger.read_bytes() == raw
    assert archives.examine(larger).state is State.WHOLE


def test_a_load_finds_each_before_anything_is_written(project, larger):
    raw = larger.read_bytes()
    User.objects.all().delete()
    Group.objects.create(name="here now")
    (project.media / "here.txt").write_text("now")
    before = look(project.media)
    for place in range(0, len(raw), EVERY):
        flip(larger, place)
        done = run("diskette_load", str(larger), "--no-input")
        flip(larger, place)
        assert done.code == 1, f"{place}: {done.err}"

    failed = Step.objects.filter(run__kind=Kind.LOAD, state="failed")
    assert {step.name for step in failed} <= {"fetch_archive", "verify_archive"}
    assert not Run.objects.exclude(applied_at=None).exists()
    assert (User.objects.count(), Group.objects.filter(name="here now").count()) == (0, 1)
    assert look(project.media) == before
    assert project.left_over() == []
