"""Work in a process of its own, which can open no database but those it is given.

The starter holds the process's stdin open: when the starter dies, whatever kills it, the
process ends at once, and with it whatever it has started. What it has to say comes as lines
of JSON; what project code prints goes to a log. Secrets pass by stdin, so that neither
arguments nor environment show them.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import django
from django.db import OperationalError, connections

from diskette import conf
from diskette.core import exceptions
from diskette.core.exceptions import DisketteError, FindingsError, TemporaryError
from diskette.core.report import JSON, Finding

Tick = Callable[[int], None]

PULSE_SECONDS = 0.5
"""How often a silent process's starter asks whether to go on."""
READ_BYTES = 1 << 16


def run(
    function: str,
    arguments: Mapping[str, JSON],
    *,
    databases: Mapping[str, Any],
    log: Path,
    tick: Tick,
) -> JSON:
    """What the function `module:name` returns for the arguments, and `tell`, which counts work.

    `databases`: settings of each, by alias; all others of the project's are closed there.
    Raises what it raises of Diskette's own errors; TemporaryError where it broke off.
    """
    path = os.pathsep.join(filter(None, [*sys.path, os.environ.get("PYTHONPATH")]))
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        ) as process,
    ):
        try:
            _ask(process, {"function": function, "arguments": arguments, "databases": databases})
            return _outcome(process, log, tick)
        finally:
            _end(process.pid)


def _ask(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    assert process.stdin  # noqa: S101 - tells the type checker
    try:
        pickle.dump(request, process.stdin)
        process.stdin.flush()
    except BrokenPipeError:
        return  # it says why, or the log does


def _outcome(process: subprocess.Popen[bytes], log: Path, tick: Tick) -> JSON:
    assert process.stdout  # noqa: S101 - tells the type checker
    for line in _lines(process.stdout, tick):
        match json.loads(line):
            case {"done": done}:
                tick(done)
            case {"error": [name, arguments]}:
                raise getattr(exceptions, name)(*arguments)
            case {"findings": shapes}:
                raise FindingsError([Finding.from_json(shape) for shape in shapes])
            case {"result": result}:
                return result
    said = log.read_text(errors="replace").strip().splitlines()
    raise TemporaryError(
        f"The process that works on the scratch database broke off (exit code {process.wait()}): "
        f"{said[-1] if said else 'it said nothing'}."
    )


def _lines(stream: IO[bytes], tick: Tick) -> Iterator[bytes]:
    rest = b""
    while True:
        if not select.select([stream], [], [], PULSE_SECONDS)[0]:
            tick(0)
            continue
        read = os.read(stream.fileno(), READ_BYTES)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        yield from lines


def main() -> None:
    """The process's whole life."""
    request = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the starter, by its pipe
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=_end_with_starter, daemon=True).start()

    def tell(shape: Mapping[str, JSON]) -> None:
        answers.write(json.dumps(shape) + "\n")
        answers.flush()

    _open_only(request["databases"])
    module, _, name = request["function"].partition(":")
    try:
        function = getattr(import_module(module), name)
        result = function(**request["arguments"], tell=lambda done: tell({"done": done}))
        tell({"result": result})
    except FindingsError as error:
        tell({"findings": [finding.to_json() for finding in error.findings]})
    except DisketteError as error:
        tell({"error": [type(error).__name__, list(error.args)]})


def _end_with_starter() -> None:
    while os.read(sys.stdin.fileno(), READ_BYTES):
        continue
    _end(os.getpid())


def _end(process: int) -> None:
    """With all that it has started: it leads a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _open_only(databases: Mapping[str, Any]) -> None:
    """Set Django up with these instead of the live databases of the same aliases."""
    conf.stand_in(databases)
    create = connections.create_connection

    def create_connection(alias: str) -> Any:
        connection = create(alias)
        if alias not in databases:
            connection.connect = closed  # type: ignore[method-assign]
        return connection

    def closed() -> None:
        raise OperationalError(
            f"no database but {', '.join(databases)} can be opened here: it stands in for the live "
            "one while migrations run"
        )

    connections.create_connection = create_connection  # type: ignore[method-assign]
    django.setup()


if __name__ == "__main__":
    main()
