"""Messages that nobody gets, and no beat: whoever waits for the run heals it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.kills.scene import Healing
from worker.sites import Site

pytestmark = pytest.mark.services


@pytest.mark.fault("messages are lost, and there is no beat")
def test_a_dump_whose_messages_are_lost_ends_while_it_is_watched(site: Site, healing: Healing):
    elsewhere = dataclasses.replace(site, broker_url=site.broker_url.removesuffix("/0") + "/1")
    with site.worker():
        run = elsewhere.manage("diskette_dump", "--enqueue").splitlines()[-1]
        healing.begins()
        done = site.run("diskette_status", run, "--follow", "--format", "json")
    result = json.loads(done.stdout)
    assert result["state"] == "succeeded", result["findings"]
    healing.told(f"dump {result['state']}")
    assert {each["attempt"] for each in result["results"]} == {1}
