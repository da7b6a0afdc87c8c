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
WAITING = ("--idle", "--threads", "--subprocesses", "--nonblocking")


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
    own, with_callees, total = shares(samples.read_text().splitlines())
    parts = [f"{total / RATE:.2f} s in samples\n"]
    for name, counted in (("line itself", own), ("function with what it calls", with_callees)):
        parts.append(f"\n{name}\n")
        parts += [
            f"{100 * count / total:5.1f} %  {where}\n"
            for where, count in counted.most_common(SHOWN)
        ]
    return "".join(parts)


def shares(stacks: Sequence[str]) -> tuple[Counter[str], Counter[str], int]:
    """Samples by innermost line, by function on the stack, and all; each thread by itself."""
    own: Counter[str] = Counter()
    with_callees: Counter[str] = Counter()
    total = 0
    for stack in stacks:
        frames, _, samples = stack.rpartition(" ")
        thread = next((name for name in frames.split(";") if name.startswith("thread")), "")
        lines = [name for name in frames.split(";") if not name.startswith(("process", "thread"))]
        count = int(samples)
        total += count if "MainThread" in thread else 0
        mark = "" if "MainThread" in thread else " [other thread]"
        own[lines[-1] + mark] += count
        with_callees.update({_function(line) + mark: count for line in set(map(str, lines))})
    return own, with_callees, max(total, 1)


def _function(line: str) -> str:
    return line.rpartition(":")[0] + ")" if ":" in line else line
