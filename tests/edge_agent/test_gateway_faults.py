"""An agent over two gateway processes, one of which is stopped, killed and started again."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from edge_agent.agent import Agent
from tests.edge_agent.agents import started
from tests.models import coloured_jpeg
from tests.processes import HANGS_S, free_port, gateway

_SOON_S = 5.0
_LABELS = ("red", "green", "blue", "grey")
_SETTINGS = {"deadline_ms": 5000.0, "control": False, "audit_share": 0.0}
"""Long enough for a busy machine; nothing but the gateways changes what is answered."""


class Traffic:
    """Clients that ask all the time, and what they were told."""

    def __init__(self, agent: Agent, session: aiohttp.ClientSession, accuracy: float) -> None:
        self._agent = agent
        self._session = session
        self._accuracy = accuracy
        self.answers: list[tuple[float, int, Any]] = []

    async def client(self, number: int) -> None:
        while True:
            image = coloured_jpeg(_LABELS[number % 4], seed=number % 40)
            number += 1
            url = f"{self._agent.url}/v1/classify?accuracy={self._accuracy}"
            async with self._session.post(url, data=image) as reply:
                told = json.loads(await reply.read())
                self.answers.append((time.monotonic(), reply.status, told))

    def of(self, address: str) -> int:
        """Calls that a gateway answered."""
        return self._agent.upstream.client.calls[address, "answered"]

    def degraded(self, since: float) -> list[str]:
        return [told.get("degraded") for at, _, told in self.answers if at > since]


@asynccontextmanager
async def traffic(agent: Agent) -> AsyncIterator[Traffic]:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{agent.url}/v1/tasks") as reply:
            top = float((await reply.json())["tasks"][0]["highest_certifiable"])
        asking = Traffic(agent, session, top)
        clients = [asyncio.create_task(asking.client(10 * index)) for index in range(4)]
        try:
            yield asking
        finally:
            for one in clients:
                one.cancel()
            await asyncio.gather(*clients, return_exceptions=True)


async def until(done: Callable[[], bool]) -> float:
    """How long it took, seconds."""
    begun = time.monotonic()
    async with asyncio.timeout(HANGS_S):
        while not done():
            await asyncio.sleep(0.01)
    return time.monotonic() - begun


async def test_whatever_becomes_of_one_gateway_every_request_is_answered(
    tiny_repository: Path,
) -> None:
    port = free_port()
    with gateway(tiny_repository) as far, gateway(tiny_repository, port=port) as near:
        both = (near.address, far.address)
        async with (
            started(tiny_repository, gateways=both, **_SETTINGS) as agent,
            traffic(agent) as asking,
        ):

            def health() -> str:
                return agent.upstream.gateways()[0].health

            await until(lambda: asking.of(near.address) >= 20)
            stopped = time.monotonic()
            near.process.send_signal(signal.SIGSTOP)
            await until(lambda: asking.of(far.address) >= 20)
            await until(lambda: health() == "ejected")
            near.process.send_signal(signal.SIGCONT)
            before = asking.of(near.address)
            took = [await until(lambda: asking.of(near.address) >= before + 20)]

            near.process.kill()
            await asyncio.to_thread(near.process.wait)
            await until(lambda: health() == "ejected")
            before = asking.of(far.address)
            await until(lambda: asking.of(far.address) >= before + 20)
            with gateway(tiny_repository, port=port):
                before = asking.of(near.address)
                took.append(await until(lambda: asking.of(near.address) >= before + 20))
            told = {(status, str(said.get("error"))) for _, status, said in asking.answers}
            since = asking.degraded(stopped)
    assert told == {(200, "None")}
    assert [one for one in took if one > _SOON_S] == []
    assert set(since) <= {None, "deadline", "dc_unreachable"}
    assert sum(one is not None for one in since) <= 0.1 * len(since)
