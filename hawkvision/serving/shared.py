"""What many ask for at once: done once for all of them, or for so many and no more."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Hashable
from types import TracebackType
from typing import Generic, TypeVar

from hawkvision.errors import Overloaded

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOST_KEYS = 1024


class Shared(Generic[K, V]):
    """Work by key, done once for all who ask before it begins, and begun every `gap_s` at most.

    Nobody gets what was found out before they asked: who comes while it is done waits for the next
    round. An error goes to all who wait. Use it within one event loop.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._next: dict[K, asyncio.Task[V]] = {}
        self._running: dict[K, asyncio.Task[V]] = {}
        self._begun: dict[K, float] = {}

    async def get(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """What `work` gives. Raises what it raises."""
        task = self._next.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._round(key, work))
            self._next[key] = task
            task.add_done_callback(_seen)
        return await asyncio.shield(task)  # who goes away does not stop it for the others

    async def _round(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        try:
            due = self._begun.get(key, -math.inf) + self._gap_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if (before := self._running.get(key)) is not None:
                await asyncio.wait([before])
        finally:
            me = self._next.pop(key)
        self._running[key] = me
        self._begun.pop(key, None)
        self._begun[key] = time.monotonic()
        if len(self._begun) > _MOST_KEYS:
            del self._begun[next(iter(self._begun))]
        try:
            return await work()
        finally:
            del self._running[key]


def _seen(task: asyncio.Task[V]) -> None:
    """So that an error for which nobody waits any more is not logged as forgotten."""
    if not task.cancelled():
        task.exception()


class AtOnce:
    """At most `most` of something under way; whoever comes beyond is told so at once."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._under_way = 0

    def __enter__(self) -> None:
        """Raises Overloaded."""
        if self._under_way >= self._most:
            raise Overloaded(f"{self._most} {self._what} are under way", hint="Retry later.")
        self._under_way += 1

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._under_way -= 1
