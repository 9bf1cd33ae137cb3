"""Well-formed HTTP for attackers: one session, replies counted by status and code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import orjson

from tests.attack.attack import Tally, Target

_KEYS = ("Authorization", "X-API-Key")


class Client:
    """A session whose every request shows what an attacker has, or the key that is given."""

    def __init__(self, inside: aiohttp.ClientSession, target: Target) -> None:
        self._inside = inside
        self._target = target

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **how: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """See aiohttp."""
        given = headers or {}
        keys = any(name in given for name in _KEYS)
        shown = {**({} if keys else self._target.shown()), **given}
        return self._inside.request(method, path, headers=shown, **how)


@asynccontextmanager
async def session(target: Target, *, connections: int = 64) -> AsyncIterator[Client]:
    """A client with keep-alive, from the attackers' address."""
    tls = True if target.access is None else target.access.context()
    connector = aiohttp.TCPConnector(limit=connections, local_addr=(target.source, 0), ssl=tls)
    async with aiohttp.ClientSession(
        target.url, connector=connector, timeout=aiohttp.ClientTimeout(60)
    ) as client:
        yield Client(client, target)


async def send(
    client: Client, tally: Tally, method: str, path: str, **how: Any
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
        error = orjson.loads(body)["error"]
        if isinstance(error, str) and ": " in error:  # under /v2
            return f"{status} {error.partition(': ')[0]}"
        return f"{status} {error['code']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"{status} without a code"
