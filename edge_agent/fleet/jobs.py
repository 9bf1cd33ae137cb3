"""Work beside the requests: it goes on whatever fails, and ends within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from hawkvision.errors import HawkVisionError

_log = logging.getLogger(__name__)
_AGAIN_S = 1.0
_LEAST_PAUSE_S = 0.05
"""Between two rounds, however often somebody wakes the job."""

Work = Callable[[], Coroutine[Any, Any, None]]


class Jobs:
    """Tasks of one event loop. `failed` is told the name of a job each time that it fails.

    A fault is logged once for each kind of error, and again after the job has worked meanwhile.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._said: set[tuple[str, type[BaseException]]] = set()

    def start(self, name: str, work: Work) -> None:
        """Run `work` once, beside the requests."""
        self._add(name, self.once(name, work))

    def repeat(
        self, name: str, work: Work, every_s: float, wake: asyncio.Event | None = None
    ) -> None:
        """Run `work` every so often, and at once when `wake` is set, until `close`."""
        self._add(name, self._forever(name, work, every_s, wake or asyncio.Event()))

    def keep(self, name: str, work: Work) -> None:
        """Run `work`, which does not end by itself; a second later again should it end."""
        self.repeat(name, work, _AGAIN_S)

    def _add(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def once(self, name: str, work: Work) -> None:
        """Run `work` and wait for it; its failure is noted, and not raised."""
        try:
            await work()
        except Exception as error:
            self._note(name, error)
        else:
            self._worked(name)

    async def _forever(self, name: str, work: Work, every_s: float, wake: asyncio.Event) -> None:
        while True:
            await self.once(name, work)
            await asyncio.sleep(min(every_s, _LEAST_PAUSE_S))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await wake.wait()
            wake.clear()

    def _note(self, name: str, error: Exception) -> None:
        self._failed(name)
        kind = (name, type(error))
        if kind in self._said:
            return
        self._said.add(kind)
        if isinstance(error, HawkVisionError):
            _log.warning("%s: %s", name, error)
        else:
            _log.error("%s failed and goes on", name, exc_info=error)

    def _worked(self, name: str) -> None:
        if self._said:
            self._said = {kind for kind in self._said if kind[0] != name}

    async def close(self, within_s: float) -> None:
        """Cancel everything. What does not end within this time is left behind, and named."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, stubborn = await asyncio.wait(tasks, timeout=within_s)
        if stubborn:
            names = ", ".join(sorted(task.get_name() for task in stubborn))
            _log.warning("did not end within %g s: %s", within_s, names)
