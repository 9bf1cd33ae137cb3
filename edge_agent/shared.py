"""What many ask for at once: done once for all of them, or for so many and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from types import TracebackType
from typing import Generic, TypeVar

from hawkvision.errors import Overloaded

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """Results by key, each good for `for_s` seconds; at most `most` are kept.

    However many ask, the work for a key is under way once at a time. An error goes to all who wait
    and is not kept. Use it within one event loop.
    """

    def __init__(self, for_s: float, most: int = 64) -> None:
        self._for_s = for_s
        self._most = most
        self._kept: dict[K, tuple[float, V]] = {}
        self._under_way: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The result for a key, of `work` where none is kept. Raises what `work` raises."""
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept[0] < self._for_s:
            return kept[1]
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._do(key, work))
            self._under_way[key] = task
            task.add_done_callback(_seen)
        return await asyncio.shield(task)  # who goes away does not stop it for the others

    async def _do(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        try:
            result = await work()
        finally:
            del self._under_way[key]
        self._kept.pop(key, None)
        self._kept[key] = time.monotonic(), result
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return result


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
