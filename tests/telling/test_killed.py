"""A process killed after its run had ended, before it was told: a sweep tells it, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.telling import listening
from worker.servers import await_condition
from worker.sites import ROOT

pytestmark = pytest.mark.services


def test_an_end_whose_teller_is_killed_is_told_by_the_next_sweep(sites, web):
    with listening.smtp() as mailbox:
        site = sites.make(
            engine="sqlite",
            filled=False,
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=str(mailbox.port),
            DISKETTE_NOTIFY_MAIL="ada@example.com",
            DISKETTE_NOTIFY_SUCCESS="1",
            DISKETTE_NOTIFY_TIMEOUT="60",
            DISKETTE_NOTIFY_SECRET_PINGS=json.dumps({"dump": {"success": f"{web.url}/done"}}),
        )
        site.media.mkdir(exist_ok=True)
        web.silent.set()  # so that it is killed in the midst of telling
        dump = subprocess.Popen(
            [sys.executable, "-m", "django", "diskette_dump", "-v0"],
            cwd=ROOT,
            env=site.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert await_condition(lambda: web.paths == ["/done"], seconds=60)
        os.kill(dump.pid, signal.SIGKILL)
        dump.wait()
        assert mailbox.mails == []

        web.silent.clear()
        (run,) = json.loads(site.manage("diskette_status", "--format", "json"))
        assert run["state"] == "succeeded"
        assert web.paths == ["/done", "/done"]
        site.manage("diskette_status")
        (subject,) = mailbox.subjects
        assert subject == "[Django] Diskette: dump of tests succeeded"
        assert len(web.paths) == 2
