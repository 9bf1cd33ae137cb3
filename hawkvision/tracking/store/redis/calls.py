"""Calls that end in time and can be cancelled, whatever the library underneath does.

Up to Python 3.11 `asyncio.wait_for` loses a cancellation that comes just as what it waits for is
done, and redis-py sends every command under it: a task that is cancelled there goes on for ever.
So a call runs in a task of its own, and who asked waits by `asyncio.wait`, which loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Out = TypeVar("Out")


class Calls:
    """Runs calls, and keeps those that nobody waits for any more until they have ended."""

    def __init__(self) -> None:
        self._left: set[asyncio.Task[Any]] = set()

    async def run(self, call: Coroutine[Any, Any, Out], timeout_s: float) -> Out:
        """The call's result. Raises TimeoutError after `timeout_s`, and what the call raises."""
        task = asyncio.get_running_loop().create_task(call)
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
        except asyncio.CancelledError:
            self._leave(task)
            raise
        if not done:
            self._leave(task)
            raise TimeoutError(f"no answer within {timeout_s:g} s")
        if task.cancelled():
            raise TimeoutError("the call was given up")
        return task.result()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on beside, until it ends or `close`."""
        self._keep(asyncio.get_running_loop().create_task(work))

    def _leave(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._keep(task)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._left.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # nobody waits for it: else it would be logged as never retrieved

    async def close(self, within_s: float) -> None:
        """Cancel what is left, and wait for it no longer than this."""
        for task in self._left:
            task.cancel()
        if self._left:
            await asyncio.wait(set(self._left), timeout=within_s)
