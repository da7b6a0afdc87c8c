"""Rows of megabytes pass through a dump and a load, and the memory stays what it was."""

from __future__ import annotations

import sys

import pytest

from benchmarks.measuring import Call, measure
from tests.servers import require_mariadb
from worker.sites import ROOT

BYTES = 150_000_000
"""What no process may exceed."""
ROWS = 30
FILL = f"""
import base64, os
from django.contrib.contenttypes.models import ContentType
from worker.sample.blog.models import Comment
from worker.sample.crm.models import Person
from worker.sample.shop.models import Product

def text(size):
    return base64.b85encode(os.urandom(size * 4 // 5)).decode()

comments = dict(content_type=ContentType.objects.get_for_model(Person), object_id="1")
for number in range({ROWS}):
    Person.objects.create(name=number, portrait=os.urandom(3_000_000))
    Comment.objects.create(text=text(2_000_000), **comments)
    Product.objects.create(name=number, price=1, attributes={{"of": [text(1_000_000), 1.5]}})
"""
COUNTED = """
from worker.sample.blog.models import Comment
from worker.sample.crm.models import Person
from worker.sample.shop.models import Product
print(Person.objects.count(), Comment.objects.count(), Product.objects.count())
"""


def peak_bytes(site, *arguments: str) -> int:
    command = [sys.executable, "-m", "django", *arguments]
    call = Call(command=command, variables=site.environment, directory=ROOT)
    return measure(call, site.directory).peak_bytes


@pytest.mark.services
@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb"])
def test_rows_of_megabytes_take_no_more_memory_than_a_few_of_them(sites, engine):
    if engine == "mariadb":
        require_mariadb()
    source = sites.make(engine=engine, filled=False)
    source.manage("shell", "-v0", "-c", FILL)
    assert peak_bytes(source, "diskette_dump", "--no-storages", "--filename", "wide.tar") < BYTES

    target = sites.make(engine=engine, filled=False)
    archive = str(source.archives / "wide.tar")
    options = ("--no-input", "--no-storages", "--no-safety-dump")
    assert peak_bytes(target, "diskette_load", archive, *options) < BYTES
    assert target.manage("shell", "-v0", "-c", COUNTED).endswith(f"{ROWS} {ROWS} {ROWS}")
