"""Well-formed HTTP for attackers: one session, replies counted by status and code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from tests.attack.attack import Tally, Target


@asynccontextmanager
async def session(target: Target, *, connections: int = 64) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with keep-alive, from the attackers' address."""
    connector = aiohttp.TCPConnector(limit=connections, local_addr=(target.source, 0))
    async with aiohttp.ClientSession(
        target.url, connector=connector, timeout=aiohttp.ClientTimeout(60)
    ) as client:
        yield client


async def send(
    client: aiohttp.ClientSession, tally: Tally, method: str, path: str, **how: Any
) -> tuple[int, bytes]:
    """One request; its status and body. A refusal counts under its code too."""
    async with client.request(method, path, **how) as reply:
        body = await reply.read()
        tally.add(outcome(reply.status, body))
        if reply.status == 503 and "Retry-After" not in reply.headers:
            tally.add("503 without Retry-After")
        return reply.status, body


def outcome(status: int, body: bytes) -> str:
    """`200`, or `413 too_large` as the body's code says."""
    if status < 400:
        return str(status)
    try:
        return f"{status} {orjson.loads(body)['error']['code']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"{status} without a code"
