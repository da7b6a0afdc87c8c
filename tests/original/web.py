"""A web server that gives the files of a directory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Answer(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing of a test's server belongs into its output."""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answer, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
