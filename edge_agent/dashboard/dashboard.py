"""The dashboard of one process: it looks once a second, and tells whoever listens.

What the last day was is kept always; what is so now is computed only while somebody listens, once
for all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import orjson

import hawkvision
from edge_agent.classify import Classifier
from edge_agent.config import EdgeConfig
from edge_agent.dashboard.keeping import Keeper, OfParent, Own
from edge_agent.dashboard.ledger import FRESH_S, Told
from edge_agent.dashboard.recent import Recent
from edge_agent.dashboard.sampling import Sampler
from edge_agent.dashboard.snapshot import (
    Snapshot,
    TaskView,
    busiest,
    gateways_of,
    store_kind,
    target_view,
)
from edge_agent.fleet.delivered import WINDOWS
from edge_agent.fleet.fleet import Fleet
from edge_agent.local import LocalTask
from edge_agent.metrics import AgentMetrics
from edge_agent.place import Place
from edge_agent.streams.registry import StreamRegistry
from edge_agent.upstream import GrpcUpstream
from hawkvision.contract.power import PowerStatus
from hawkvision.errors import LimitReached, StoreUnavailable
from hawkvision.power import PowerSampler
from hawkvision.serving.turns import in_turns

MOST_LISTENERS = 16
_ACCURACY_S = 5.0
"""Between two times that the store is asked, while somebody listens."""

_AFTER_S = 0.005
"""So long after a second begins the one before it is looked at."""


class Parts(Protocol):
    """What an agent is made of, as far as the page shows it."""

    config: EdgeConfig
    tasks: dict[str, LocalTask]
    classifier: Classifier
    fleet: Fleet
    metrics: AgentMetrics
    streams: StreamRegistry
    upstream: GrpcUpstream
    power: PowerSampler


class Dashboard:
    """Use it within one event loop. With a `place`, the parent of the workers keeps the past."""

    def __init__(
        self,
        agent: Parts,
        place: Place | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        config = agent.config
        self._agent = agent
        self._who, self._workers = (0, 1) if place is None else (place.index, place.count)
        self._clock = clock
        self._began = clock()
        pictures = config.dashboard_images
        self._keeper: Keeper = Own(pictures, clock) if place is None else OfParent(place.calls)
        self._recent = Recent(config.limits, pictures=pictures > 0, clock=clock)
        agent.classifier.heard = self._recent.answered
        self._sampler = Sampler(
            agent.metrics,
            agent.streams,
            agent.power if self._who == 0 else None,
            agent.tasks,
            agent.fleet,
        )
        self._listeners = 0
        self._number = 0
        self._event = b""
        self._whole: tuple[int, bytes] = (-1, b"")
        self._told = asyncio.Event()
        self._tasks: tuple[TaskView, ...] = ()
        self._agents: int | None = None
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self.draining: Callable[[], bool] = lambda: False

    # Every second.

    async def run(self) -> None:
        """Look at each second when it is over; does not end by itself."""
        while True:
            now = self._clock()
            await asyncio.sleep(int(now) + 1 + _AFTER_S - now)
            await self.look()

    async def look(self) -> None:
        """Take down the second that is over, and tell those who listen."""
        second = int(self._clock()) - 1
        told = Told(
            self._who,
            second,
            self._sampler.tick(),
            self._sampler.in_force(),
            await self._recent.take(),
            self._agent.streams.open_streams,
        )
        await self._keeper.add(told)
        if self._listeners:
            await self._publish()

    async def _publish(self) -> None:
        past = await self._keeper.fresh()
        if past is None:
            return
        snapshot = await self._snapshot()
        self._event = _event(b"now", past | snapshot.as_dict())
        self._number += 1
        self._told.set()
        self._told = asyncio.Event()

    # For who listens.

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While somebody does. Raises LimitReached."""
        if self._listeners >= MOST_LISTENERS:
            raise LimitReached(
                f"{MOST_LISTENERS} pages show this dashboard", hint="Close one of them."
            )
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Server-sent events, without end: all there is (`whole`), then every second (`now`).

        Who misses so many seconds that something would be missing is told everything again.
        """
        yield await self._everything()
        known = self._number
        while True:
            await self._told.wait()
            missed, known = self._number - known, self._number
            yield await self._everything() if missed > FRESH_S else self._event

    async def _everything(self) -> bytes:
        """Made once for all who come within the same second."""
        second = int(self._clock())
        if self._whole[0] != second:
            past = await self._keeper.whole() or {}
            snapshot = await self._snapshot()
            self._whole = (second, _event(b"whole", past | snapshot.as_dict()))
        return self._whole[1]

    async def _snapshot(self) -> Snapshot:
        agent = self._agent
        now = self._clock()
        async with self._asking:
            if now - self._asked_at >= _ACCURACY_S:
                self._asked_at = now
                await self._ask()
        return Snapshot(
            uptime_s=now - self._began,
            version=hawkvision.__version__,
            workers=self._workers,
            draining=self.draining(),
            tracked=agent.config.store != "off",
            tasks=self._tasks,
            gateways=gateways_of(agent.upstream.gateways()),
            held_back=agent.upstream.held_back,
            store=agent.fleet.status(),
            store_kind=store_kind(agent.config.store),
            agents=self._agents,
            power=PowerStatus.of(agent.power.state),
        )

    async def _ask(self) -> None:
        """What the store knows; requests are answered between one target and the next."""
        fleet = self._agent.fleet
        views = []
        for name, local in list(self._agent.tasks.items()):
            found = await fleet.delivered(local.counted, lambda _key: True, WINDOWS, "")
            shown, more = busiest(found)
            targets = [target_view(target, found) async for target in in_turns(shown)]
            views.append(TaskView(name, local.version, tuple(targets), more, found.audit_share))
        self._tasks = tuple(views)
        try:
            self._agents = len(await fleet.agents())
        except StoreUnavailable:
            self._agents = None


def _event(name: bytes, body: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name, orjson.dumps(body))
