"""The store is read for gauges when somebody scrapes, once in a while, and for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge_agent.agent import Agent
from edge_agent.exporting import OLD_S, Exporting
from hawkvision.errors import StoreUnavailable
from tests.edge_agent.agents import exchange, request, started
from tests.models import coloured_jpeg


class Reads:
    """The store's reads of windows: how many, and what becomes of them."""

    def __init__(self, agent: Agent) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()
        store: Any = agent.fleet.store
        self._real = store.counts
        store.counts = self._counts

    async def _counts(self, *given: Any, **more: Any) -> Any:
        self.count += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return await self._real(*given, **more)


@asynccontextmanager
async def counted(repository: Path) -> AsyncIterator[tuple[Agent, Reads]]:
    """An agent that has answered once, and its reads."""
    async with started(repository, tracking_interval_s=0.05) as agent:
        reads = Reads(agent)
        sent = request("POST", "/v1/classify?accuracy=0.8", coloured_jpeg("red"))
        assert (await exchange(agent, sent)).status == 200
        while not await agent.fleet.store.counts("tiny@1", window_s=300.0):
            await asyncio.sleep(0.01)
        reads.count = 0
        yield agent, reads


async def shown(agent: Agent) -> bool:
    reply = await exchange(agent, request("GET", "/metrics"))
    assert reply.status == 200
    return b'hawkvision_accuracy{target="0.8"' in reply.body


async def test_nobody_looks_and_nothing_is_read(tiny_repository: Path) -> None:
    async with counted(tiny_repository) as (_, reads):
        await asyncio.sleep(0.5)
        assert reads.count == 0


async def test_the_first_scrape_shows_what_was_delivered(tiny_repository: Path) -> None:
    async with counted(tiny_repository) as (agent, reads):
        assert await shown(agent)
        assert reads.count == 1


async def test_scrapes_share_a_read_until_it_is_old(tiny_repository: Path) -> None:
    async with counted(tiny_repository) as (agent, reads):
        now = 100.0
        exporting = Exporting(agent, lambda: now)
        await asyncio.gather(*(exporting.look() for _ in range(20)))
        now += 0.9 * OLD_S
        await exporting.look()
        assert reads.count == 1
        now += 0.2 * OLD_S
        await exporting.look()
        assert reads.count == 2


async def test_a_store_that_is_away_is_told_by_gauges_that_are_gone(tiny_repository: Path) -> None:
    async with counted(tiny_repository) as (agent, reads):
        reads.error = StoreUnavailable("away")
        assert not await shown(agent)


async def test_a_store_that_hangs_keeps_no_scrape_waiting(tiny_repository: Path) -> None:
    async with counted(tiny_repository) as (agent, reads):
        reads.go.clear()
        assert not await shown(agent)
        reads.go.set()
        async with asyncio.timeout(60):
            while not await shown(agent):
                await asyncio.sleep(0.01)
        assert reads.count == 1


async def test_a_fault_costs_no_metrics_and_is_counted(tiny_repository: Path) -> None:
    async with counted(tiny_repository) as (agent, reads):
        reads.error = RuntimeError("as scripted")
        assert not await shown(agent)
        labels = {"work": "export"}
        name = "hawkvision_job_failures_total"
        assert agent.metrics.registry.get_sample_value(name, labels) == 1
