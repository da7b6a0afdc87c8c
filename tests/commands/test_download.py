"""Archives fetched from a web server: what it is told, what it may do, and what is never shown."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.contrib.auth.models import User
from django_celery_results.models import TaskResult

from diskette.models import Run
from tests.commands.conftest import run
from tests.filesystems import mounted

SECRET = "hushhush"
HALF = ("/cut", "/stall")
"""Paths whose answer ends, or halts, in the middle."""


class Server(ThreadingHTTPServer):
    """Gives the archive, and misbehaves as the path says."""

    daemon_threads = True
    content = b""
    authorization = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.released = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.authorization = self.headers.get("Authorization", "")
        self.send_response(302 if "moved" in self.path else 200)
        self.send_header("Location", f"http://{self.server.host}/x.tar?token={SECRET}")
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        half = len(self.server.content) // 2
        self.wfile.write(self.server.content[: half if self.path.startswith(HALF) else None])
        if self.path.startswith("/stall"):
            self.server.released.wait()

    def log_message(self, *_: object) -> None:
        """Nothing of a test's server belongs into its output."""


@pytest.fixture
def server(archive) -> Iterator[Server]:
    with Server() as server:
        server.content = archive.read_bytes()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def assert_never_shown(*texts: str) -> None:
    told = [result.result for result in TaskResult.objects.all()]
    runs = [json.dumps([r.findings, r.options, r.archive]) for r in Run.objects.all()]
    assert not [text for text in (*texts, *told, *runs) if SECRET in text]


def test_user_and_password_of_the_address_are_sent_and_never_shown(project, server):
    User.objects.update(first_name="changed")
    address = f"http://ada:{SECRET}%21@{server.host}/x.tar?token={SECRET}"
    done = run("diskette_load", address, "--no-input")
    assert done.code == 0, done.err
    assert User.objects.get().first_name == ""
    word = base64.b64encode(f"ada:{SECRET}!".encode()).decode()
    assert server.authorization == f"Basic {word}"
    assert Run.objects.first().archive == f"http://{server.host}/x.tar"
    assert_never_shown(done.out, done.err)


def test_the_question_shows_no_secret_of_the_address(project, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    done = run("diskette_load", f"http://ada:{SECRET}@example.org/x.tar?token={SECRET}")
    assert "http://example.org/x.tar" in done.err
    assert SECRET not in done.err


@pytest.mark.parametrize(
    "address",
    ["http://[::1/x?token={}", "http://h:port/x?token={}", "http://h/x y?token={}", "http://:{}@"],
)
def test_what_is_no_address_is_wrong_usage(project, address):
    done = run("diskette_load", address.format(SECRET), "--no-input")
    assert done.code == 2
    assert "no address" in done.err
    assert SECRET not in done.err


def test_a_download_that_breaks_off_says_so_and_changes_nothing(project, server):
    done = run("diskette_load", f"http://{server.host}/cut?token={SECRET}", "--no-input")
    assert done.code == 1
    assert "before its end" in done.err
    assert project.left_over() == []
    assert_never_shown(done.err)


def test_a_server_that_stalls_is_blamed_and_not_the_disk(project, server, settings):
    settings.DISKETTE_DOWNLOAD_TIMEOUT = 0.2
    done = run("diskette_load", f"http://{server.host}/stall", "--no-input")
    server.released.set()
    assert done.code == 1
    assert f"http://{server.host}/stall: cannot be downloaded" in done.err
    assert "timed out" in done.err


@pytest.mark.parametrize(("allowed", "code"), [(False, 1), (True, 0)])
def test_a_redirect_is_followed_only_where_it_is_allowed(project, server, settings, allowed, code):
    settings.DISKETTE_DOWNLOAD_ALLOW_REDIRECT = allowed
    done = run("diskette_load", f"http://{server.host}/moved", "--no-input")
    assert done.code == code
    assert ("DISKETTE_DOWNLOAD_ALLOW_REDIRECT" in done.err) is not allowed
    assert_never_shown(done.out, done.err)


def test_a_disk_that_fills_up_while_downloading_is_named_and_nothing_is_left(
    project, server, settings, tmp_path
):
    User.objects.update(first_name="changed")
    server.content = bytes(3_000_000)
    with mounted(tmp_path / "small", "size=1m") as small:
        settings.DISKETTE_WORKSPACE = small / "workspace"
        done = run("diskette_load", f"http://{server.host}/x.tar", "--no-input")
        assert list((small / "workspace").iterdir()) == []
    assert done.code == 1
    assert [finding.code for finding in Run.objects.first().all_findings] == ["no-space"]
    assert str(small) in done.err
    assert User.objects.get().first_name == "changed"
