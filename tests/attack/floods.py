"""The agent's page and description: listeners that never read, and floods of what is large."""

from __future__ import annotations

import asyncio
import itertools

from tests.attack.attack import Attack, Pace, Tally, Target, crew
from tests.attack.http import send, session
from tests.attack.wire import connection, lines


async def _deaf_listeners(target: Target, tally: Tally) -> None:
    """Whoever may read opens the dashboard's events, and reads none."""
    head = b"GET /v1/dashboard/events HTTP/1.1\r\nHost: a\r\n"

    async def once() -> None:
        async with connection(target) as (reader, writer):
            reader._limit = 1  # type: ignore[attr-defined]  # reading pauses after two bytes
            writer.write(head + lines(target.insider()) + b"\r\n")
            tally.add("listening")
            await asyncio.sleep(20)

    await crew(200, once, tally, Pace(100), patience_s=30)


async def _descriptions(target: Target, tally: Tally) -> None:
    paths = itertools.cycle(("/openapi.json", "/openapi.json", "/", "/openapi.json?x=1"))
    async with session(target) as client:

        async def once() -> None:
            coded = {"Accept-Encoding": "gzip, br, zstd"}
            await send(client, tally, "GET", next(paths), headers=coded)

        await crew(16, once, tally, Pace(150))


ATTACKS = (
    Attack("events", "HTTP", "200 listeners to the dashboard who never read", _deaf_listeners),
    Attack("described", "HTTP", "150 descriptions and pages a second", _descriptions),
)
