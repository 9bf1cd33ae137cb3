"""A virtual clock: what is due happens in order of time, and nothing sleeps."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Out = TypeVar("Out")


class Timeline:
    """`now` in seconds. What is due at the same time happens in the order in which it was asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def at(self, time_s: float, call: Callable[..., None], *arguments: Any) -> None:
        """Let `call(*arguments)` happen then; at once where that has passed."""
        heapq.heappush(self._due, (time_s, next(self._numbers), call, arguments))

    def run(self, until: float) -> None:
        """All that is due before `until`, which is the time afterwards."""
        while self._due and self._due[0][0] < until:
            time_s, _, call, arguments = heapq.heappop(self._due)
            self.now = max(self.now, time_s)
            call(*arguments)
        self.now = max(self.now, until)


def at_once(work: Coroutine[Any, Any, Out]) -> Out:
    """The result of a coroutine that waits for nothing. Raises what it raises."""
    try:
        work.send(None)
    except StopIteration as end:
        result: Out = end.value
        return result
    work.close()
    raise RuntimeError("it waits for something, and the virtual clock stands still")
