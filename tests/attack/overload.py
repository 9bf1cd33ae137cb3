"""Valid images, five times as many as are answered: what it does to those who are admitted."""

from __future__ import annotations

import asyncio
import io
import time
from functools import lru_cache

from PIL import Image, ImageFilter

from tests.attack.attack import FAILURES, Attack, Tally, Target, failure
from tests.attack.wire import Connection, connection, read_reply, request

TIMES = 5
_CLOSED = 6
_CAPACITY_S = 4.0
_CONNECTIONS = 150


@lru_cache(maxsize=1)
def heavy() -> bytes:
    """A valid image that takes a worker some 20 ms, so that sending it is cheap beside that."""
    small = Image.effect_noise((64, 48), 90).filter(ImageFilter.BoxBlur(1)).convert("RGB")
    stored = io.BytesIO()
    small.resize((1600, 1200), Image.Resampling.BILINEAR).save(stored, "WEBP", quality=30)
    return stored.getvalue()


async def _one(connected: Connection, tally: Tally, ask: bytes) -> int:
    reader, writer = connected
    begun = time.monotonic()
    writer.write(ask)
    status = await read_reply(reader, tally)
    if status == 200:
        tally.admitted_ms.append(1e3 * (time.monotonic() - begun))
    return status


async def capacity(target: Target, seconds: float = _CAPACITY_S) -> float:
    """Images answered a second to clients who wait for each answer before they ask again."""
    ask, tally = request("POST", "/v1/classify", heavy(), list(target.busy().items())), Tally()

    async def client() -> None:
        async with connection(target) as connected:
            while True:
                await _one(connected, tally, ask)

    begun = time.monotonic()
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(_CLOSED):
                group.create_task(client())
    except TimeoutError:
        pass
    return tally.outcomes["200"] / (time.monotonic() - begun)


async def _overload(target: Target, tally: Tally) -> None:
    """Open loop: a request every so often, whatever became of those before."""
    found = await capacity(target)
    tally.outcomes["capacity, images/s x 100"] = int(100 * found)
    tally.outcomes["begun, ms"] = int(1e3 * time.monotonic())
    ask = request("POST", "/v1/classify", heavy(), list(target.busy().items()))
    gap_s = 1 / max(1.0, TIMES * found)
    due: asyncio.Queue[float] = asyncio.Queue(_CONNECTIONS)

    async def client() -> None:
        while True:
            try:
                async with connection(target) as connected:
                    while True:
                        await due.get()
                        async with asyncio.timeout(10):
                            await _one(connected, tally, ask)
            except FAILURES as error:
                tally.add(failure(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(client())
        at = time.monotonic()
        while True:
            at += gap_s
            await asyncio.sleep(at - time.monotonic())
            try:
                due.put_nowait(at)
                tally.add("asked")
            except asyncio.QueueFull:
                tally.add("not asked: all connections wait")


ATTACKS = (
    Attack("overload", "HTTP", f"valid images, {TIMES} times the capacity", _overload, heavy),
)
