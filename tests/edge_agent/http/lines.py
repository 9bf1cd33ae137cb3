"""Plain connections to an agent; `hang_up`, imported with them, closes them after each test."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.agent import Agent
from tests.certificates import Authority
from tests.edge_agent.agents import Reply, exchange, read_reply, request

LIVE = request("GET", "/v2/health/live")
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


_OPENED: list[Line] = []


@pytest.fixture(autouse=True)
async def hang_up() -> AsyncIterator[None]:
    """Close every connection of a test."""
    yield
    for _, writer in _OPENED:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    _OPENED.clear()


async def connect(agent: Agent, tls: ssl.SSLContext | None = None) -> Line:
    port = int(agent.url.rpartition(":")[2])
    _OPENED.append(await asyncio.open_connection("127.0.0.1", port, ssl=tls))
    return _OPENED[-1]


async def ask(line: Line, data: bytes = LIVE) -> Reply:
    line[1].write(data)
    return await read_reply(line[0])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def end_of(line: Line) -> bytes:
    """What comes until the agent closes."""
    async with asyncio.timeout(60):
        try:
            return await line[0].read()
        except ConnectionError:
            return b""


def tls_options(tmp_path: Path) -> dict[str, Any]:
    """Of an agent under TLS, and `trusting`, a client's context that trusts it."""
    """Options of an agent, and `trusting` for its clients."""
    one = Authority.make(tmp_path)
    trusting = ssl.create_default_context(cafile=str(one.ca))
    return {"tls_cert": one.certificate, "tls_key": one.key, "trusting": trusting}


async def metric(agent: Agent, name: str) -> float:
    text = (await exchange(agent, request("GET", "/metrics"))).body.decode()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))
