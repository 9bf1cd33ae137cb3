"""The fleet's gauges: read from the store when somebody scrapes, and not for nobody.

They say the same of a task at every agent, so all agents share a read of the store too.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from edge_agent.fleet.delivered import WINDOWS, DeliveredWindows
from edge_agent.fleet.fleet import Fleet
from edge_agent.fleet.gauges import gauges_of
from edge_agent.fleet.jobs import Jobs
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from hawkvision.serving.access.guard import Guard
from hawkvision.serving.shared import Shared
from hawkvision.serving.turns import in_turns
from hawkvision.tracking.records import CountKey
from hawkvision.tracking.trust import vouched

OLD_S = 5.0
"""Gauges may be so old, and what they rest on as old again."""

_WAITS_S = 1.0
"""So long a scrape waits for the store; after that it shows what was read last."""

_WINDOW = {"5m": WINDOWS["5m"]}


class Parts(Protocol):
    """What an agent is made of, as far as its gauges need it."""

    tasks: dict[str, LocalTask]
    fleet: Fleet
    metrics: AgentMetrics
    guard: Guard
    jobs: Jobs


class Exporting:
    """Of one agent; use it within one event loop."""

    def __init__(self, agent: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._agent = agent
        self._clock = clock
        self._read_at = -math.inf
        self._reads: Shared[None, None] = Shared(0.0)

    async def look(self) -> None:
        """Somebody is going to look at the gauges; never raises."""
        if self._fresh():
            return
        work = partial(self._agent.jobs.once, "export", self._export)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAITS_S):
                await self._reads.get(None, work)

    def _fresh(self) -> bool:
        return self._clock() - self._read_at < OLD_S

    async def _export(self) -> None:
        if not self._fresh():
            await export(self._agent, OLD_S)
            self._read_at = self._clock()


async def export(agent: Parts, old_s: float = 0.0) -> None:
    """Put what the fleet delivered in the last 5 minutes into the gauges; it may be so old."""
    fleet = agent.fleet
    for task, local in list(agent.tasks.items()):
        name = local.counted
        read = await fleet.read(name, _WINDOW, old_s)
        found = fleet.report(name, read, lambda _key: True)
        agent.metrics.set_accuracy(task, await _gauges(found))
        for app in agent.guard.ring.apps:
            await asyncio.sleep(0)  # and between one app and the next, where one has no targets
            counted = vouched(app)
            found = fleet.report(name, read, partial(_of_app, counted), counted)
            agent.metrics.set_accuracy(task, await _gauges(found), app)


async def _gauges(found: DeliveredWindows) -> dict[str, dict[str, float]]:
    """Requests are answered between one target and the next."""
    return {target: values async for target, values in in_turns(gauges_of(found))}


def _of_app(counted: str, key: CountKey) -> bool:
    return key.app == counted
