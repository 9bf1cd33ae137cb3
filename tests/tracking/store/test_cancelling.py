"""A store's calls let a cancellation through, and end in time."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import AgentInfo, AppTarget, Batch, CountKey
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.redis import RedisStore
from hawkvision.tracking.store.redis.calls import Calls
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer

KEY = CountKey("signs", "", "0.9")
PATIENCE_S = 20.0
TIMES = 1200


def calls(store: Store) -> list[Callable[[], Awaitable[object]]]:
    async def listen() -> None:
        async for _ in store.changes():
            pass

    counts = {KEY: {"answers/edge/0": 1.0}}
    return [
        lambda: store.thresholds("signs"),
        lambda: store.add(Batch(f"b{random.random()}", 0.0, counts)),
        lambda: store.counts("signs", window_s=3600),
        lambda: store.since("signs", None),
        lambda: store.take_lead("signs", "a", 3.0),
        lambda: store.put_app(AppTarget("gate", "signs", "0.9")),
        lambda: store.heartbeat(AgentInfo("a", "http://a", (), 0.0, 0.0), 5.0),
        lambda: store.claim("signs", "r", 60.0),
        lambda: store.secret(b"s"),
        store.agents,
        store.apps,
        listen,
    ]


async def test_a_cancellation_at_any_moment_ends_the_task(store: Store) -> None:
    """Tasks that go on and on, as an agent's do; with Redis thousands of moments in all."""
    rng = random.Random(7)

    async def forever(call: Callable[[], Awaitable[object]]) -> None:
        while True:
            await call()
            await asyncio.sleep(0)

    for number in range(TIMES):
        call = calls(store)[number % len(calls(store))]
        tasks = [asyncio.create_task(forever(call)) for _ in range(3)]
        for _ in range(rng.randrange(8)):
            await asyncio.sleep(0)
        await asyncio.sleep(rng.choice((0, rng.uniform(0, 0.003))))
        for task in tasks:
            task.cancel()
        done, pending = await asyncio.wait(tasks, timeout=PATIENCE_S)
        assert not pending and all(task.cancelled() for task in done)


@pytest.fixture
def frozen(tmp_path: Path) -> RedisServer:  # type: ignore[misc]
    server = RedisServer(tmp_path / "redis")
    yield server
    server.thaw()
    server.kill()


async def raised_after(call: Callable[[], Awaitable[object]]) -> float:
    start = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await call()
    return time.monotonic() - start


async def test_no_call_waits_longer_than_its_time_for_a_frozen_server(frozen: RedisServer) -> None:
    """A busy machine may add to it, but not twenty times as much."""
    store = RedisStore.open(frozen.url, timeout_s=0.2)
    for call in calls(store)[:-1]:
        await call()
    frozen.freeze()
    for call in calls(store):
        assert 0.1 < await raised_after(call) < 4.0
    start = time.monotonic()
    await store.close()
    assert time.monotonic() - start < 10.0


async def test_nobody_there_is_said_in_time() -> None:
    """A port that takes connections and never says a word."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for scheme in ("redis", "redis+sentinel", "redis+cluster"):
            store = RedisStore.open(
                f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2
            )
            for call in calls(store):
                assert await raised_after(call) < 4.0
            await store.close()


async def test_closing_is_bounded_whoever_still_listens(redis_cluster: RedisCluster) -> None:
    store = RedisStore.open(redis_cluster.url, timeout_s=5.0)
    busy = [asyncio.create_task(_until_cancelled(call)) for call in calls(store) for _ in range(5)]
    await asyncio.sleep(0.2)
    await asyncio.wait_for(store.close(), PATIENCE_S)
    for task in busy:
        task.cancel()
    await asyncio.wait(busy, timeout=PATIENCE_S)
    assert all(task.done() for task in busy)
    await store.close()


async def _until_cancelled(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await call()
        except StoreUnavailable:
            await asyncio.sleep(0.01)


# What it rests on.


async def test_a_call_that_swallows_its_cancellation_holds_nobody_up() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    calls = Calls()
    with pytest.raises(TimeoutError):
        await calls.run(stubborn(), 0.05)
    waiting = asyncio.create_task(calls.run(stubborn(), 60.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=PATIENCE_S)
    assert waiting.cancelled()
    start = time.monotonic()
    await calls.close(0.05)
    assert time.monotonic() - start < PATIENCE_S
    released.set()
    await calls.close(PATIENCE_S)


async def test_a_call_hands_on_what_it_gives_and_raises() -> None:
    async def give() -> int:
        return 7

    async def fail() -> int:
        raise KeyError("x")

    calls = Calls()
    assert await calls.run(give(), 1.0) == 7
    with pytest.raises(KeyError):
        await calls.run(fail(), 1.0)
