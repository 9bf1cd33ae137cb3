"""Looks at the files of a service's doors and connections: every so often, and when told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

_log = logging.getLogger(__name__)


class Looks(Protocol):
    """Something that files stand behind."""

    async def look(self, *, closely: bool = False) -> None:
        """Take what the files hold now; `closely`: even where no file seems to have changed."""
        ...


class Renewal:
    """Use it within one event loop, from `start` to `close`. `every_s` 0: only when told to."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._watched: list[Looks] = []
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def add(self, watched: Looks) -> None:
        """Look after this too."""
        self._watched.append(watched)

    def start(self) -> None:
        """Begin, if there is anything to look after."""
        if self._watched:
            self._task = asyncio.create_task(self._keep_looking(), name="certificates")

    def now(self) -> None:
        """Look closely, soon; never waits, never raises."""
        self._wake.set()

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s or None):
                    await self._wake.wait()
            closely = self._wake.is_set()
            self._wake.clear()
            for one in self._watched:
                try:
                    await one.look(closely=closely)
                except Exception as error:
                    _log.error("looking at certificates failed and goes on", exc_info=error)

    async def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
