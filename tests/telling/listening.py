"""Servers that hear what is told: mail by SMTP, pings and services by HTTP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Mailbox:
    """What an SMTP server took; as aiosmtpd's handler."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    refuse: bool = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refuse:
            return "554 no mail today"
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        return "250 OK"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


@contextmanager
def smtp() -> Iterator[Mailbox]:
    mailbox = Mailbox(port=free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class Heard:
    """What an HTTP server was asked, and how it answers."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    bodies: list[dict] = field(default_factory=list)
    status: int = 200
    silent: threading.Event = field(default_factory=threading.Event)
    """While it is set, no answer is given."""
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def http() -> Iterator[Heard]:
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.paths.append(self.path)
            if heard.silent.is_set():
                heard.ended.wait()
                return
            self.send_response(heard.status)
            self.end_headers()

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            heard.bodies.append(json.loads(self.rfile.read(length)))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield heard
    finally:
        heard.ended.set()
        server.shutdown()
        serving.join()
        server.server_close()


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends one byte now and then, and never comes to an end; yields its URL."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        with suppress(OSError):  # nobody came, or whoever came has left
            connection, _ = listener.accept()
            with connection:
                while not ended.wait(0.1):
                    connection.sendall(b"H")

    dripper = threading.Thread(target=drip)
    dripper.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        dripper.join()
        listener.close()


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
