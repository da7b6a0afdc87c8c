"""Work handed to a thread, so that reading, squeezing, digesting and writing overlap.

What these do with large pieces of bytes, Python lets several processors do at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVarTuple

from diskette.core.checksum import Digest, DigestedSink

BATCH_BYTES = 1 << 20
_MOST_HANDED_OVER = 3
_LEAST_WEIGHT = 1 << 15

_Ts = TypeVarTuple("_Ts")
_Act = tuple[Callable[..., object], tuple[Any, ...]]


class Aside:
    """Does in a thread, in order, what it is asked to, while the caller goes on.

    Acts are handed over when they weigh a megabyte together, a few times at most: memory stays
    flat, and so does the number of acts that wait. What goes wrong in the thread ends it all,
    and is raised by the next `do`, or by `finish`.
    """

    def __init__(self) -> None:
        self._queue: Queue[list[_Act] | None] = Queue(_MOST_HANDED_OVER)
        self._acts: list[_Act] = []
        self._weight = 0
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="diskette-aside", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def is_behind(self) -> bool:
        """Whether `do` would have to wait."""
        return self._queue.full()

    def do(self, act: Callable[[*_Ts], object], *arguments: *_Ts, weight: int = 0) -> None:
        self._acts.append((act, arguments))
        self._weight += weight + _LEAST_WEIGHT
        if self._weight >= BATCH_BYTES:
            self._hand_over()

    def settle(self) -> None:
        """Wait until all that was asked for so far is done."""
        self._hand_over()
        self._queue.join()
        self._raise()

    def finish(self) -> None:
        """Wait until all is done; nothing more may be asked for."""
        self._hand_over()
        self._end()
        self._raise()

    def _hand_over(self) -> None:
        self._raise()
        self._queue.put(self._acts)
        self._acts, self._weight = [], 0

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (acts := self._queue.get()) is not None:
            self._do_all(acts)
            self._queue.task_done()

    def _do_all(self, acts: Sequence[_Act]) -> None:
        if self._error is not None:
            return  # the caller is told; what it still asks for is of no use
        try:
            for act, arguments in acts:
                act(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised again where it can be handled
            self._error = error


class Relay(Aside):
    """A sink whose target is written to in a thread."""

    def __init__(self, target: DigestedSink) -> None:
        super().__init__()
        self._target = target

    def write(self, chunk: bytes, /) -> None:
        self.do(self._target.write, chunk, weight=len(chunk))

    def close(self) -> Digest:
        """Wait until all is written, and tell what the whole file holds."""
        self.finish()
        return self._target.close()
