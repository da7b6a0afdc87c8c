"""Where Diskette's time goes, by py-spy's samples of its whole processes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engines import Engine
from benchmarks.measuring import Call, run
from benchmarks.places import Place
from benchmarks.rounds import Field
from benchmarks.tools import Diskette

RATE = 200
SHOWN = 25
THREADS_BEGIN = "Thread._bootstrap"
WAITING = ("--idle", "--threads", "--nonblocking")


def show(arena: Field, engines: Sequence[Engine], rows: int) -> None:
    """The lines of a dump and a load with the largest shares of the main thread's time."""
    tool = Diskette()
    for engine in engines:
        source = arena.source(engine, rows)
        _show(arena, f"{engine.name}: dump", tool.dump(source))
        target: Place = arena.place(engine.target(tool.target), engine)
        _show(arena, f"{engine.name}: load", tool.load(target))


def _show(arena: Field, title: str, call: Call) -> None:
    samples = arena.scratch / "samples.txt"
    recorder = ("py-spy", "record", "--format", "raw", "--rate", str(RATE), *WAITING)
    program = str(Path(sys.executable).with_name(recorder[0]))
    command = [program, *recorder[1:], "--output", str(samples), "--", *call.command]
    run(Call(command=command, variables=call.variables, directory=call.directory), arena.scratch)
    sys.stdout.write(f"## {title}\n\n{_listing(samples)}\n")


def _listing(samples: Path) -> str:
    own, with_callees = shares(samples.read_text().splitlines())
    total = own.total()
    parts = [f"{total / RATE:.2f} s in samples\n"]
    for name, counted in (
        ("lines", own),
        ("Diskette's functions, with what they call", with_callees),
    ):
        parts.append(f"\n{name}\n")
        parts += [
            f"{100 * count / total:5.1f} %  {where}\n"
            for where, count in counted.most_common(SHOWN)
        ]
    return "".join(parts)


def shares(stacks: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """The main thread's samples by innermost line, and by function of Diskette's on the stack."""
    own: Counter[str] = Counter()
    with_callees: Counter[str] = Counter()
    for stack in stacks:
        frames, _, samples = stack.rpartition(" ")
        lines = frames.split(";")[1:]
        if lines and not lines[0].startswith(THREADS_BEGIN):
            own[_innermost(lines)] += int(samples)
            ours = {line.rpartition(":")[0] + ")" for line in lines if "(diskette/" in line}
            with_callees.update(dict.fromkeys(ours, int(samples)))
    return own, with_callees


def _innermost(lines: Sequence[str]) -> str:
    """The line itself, and Diskette's that led there if it is another one's."""
    ours = next((line for line in reversed(lines) if "(diskette/" in line), "")
    return lines[-1] if ours in ("", lines[-1]) else f"{lines[-1]} < {ours}"
