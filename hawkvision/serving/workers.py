"""A bounded queue in front of a few threads that decode and infer, off the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from hawkvision.errors import Overloaded

In = TypeVar("In")
Out = TypeVar("Out")


class WorkerPool:
    """Runs `work(item)` on threads for coroutines of one event loop.

    Finished work is handed back in groups: a thread that finds results already waiting for the
    loop does not wake it a second time.
    """

    def __init__(self, threads: int, max_queue: int, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._capacity = threads + max_queue
        self._pending = 0
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._threads = [
            threading.Thread(target=self._serve, name=f"infer-{index}", daemon=True)
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pending(self) -> int:
        """Items waiting or being worked on."""
        return self._pending

    def check_room(self, items: int = 1) -> None:
        """Raise Overloaded unless `items` more fit."""
        if self._pending + items > self._capacity:
            raise Overloaded(
                f"the agent is busy: {self._pending} images wait, {self._capacity} fit",
                hint="Retry after the time in Retry-After, or send fewer images at once.",
            )

    def submit(self, work: Callable[[In], Out], item: In) -> asyncio.Future[Out]:
        """Queue one item. Raises Overloaded when the queue is full."""
        self.check_room()
        future: asyncio.Future[Out] = self._loop.create_future()
        self._pending += 1
        self._jobs.put((work, item, future))
        return future

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, item, future = job
            result: Any = None
            fault: BaseException | None = None
            try:
                result = work(item)
            except BaseException as error:
                fault = error
            first = not self._done
            self._done.append((future, result, fault))
            if first:
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop is closed: nobody waits any more
                    return

    def _deliver(self) -> None:
        while self._done:
            future, result, fault = self._done.popleft()
            self._pending -= 1
            if future.cancelled():
                continue
            if fault is not None:
                future.set_exception(fault)
            else:
                future.set_result(result)

    def close(self) -> None:
        """Let the threads end after the queued items."""
        for _ in self._threads:
            self._jobs.put(None)
