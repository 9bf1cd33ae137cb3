"""Counts reach Redis once, whatever happens to it on the way."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import Batch, CountKey
from hawkvision.tracking.store.delivery import Counters, Delivery, DeliveryStatus
from hawkvision.tracking.store.journal import Journal
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis import RedisStore
from tests.redis_server import RedisServer

KEY = CountKey("signs", "", "0.9")


@asynccontextmanager
async def delivering(
    server: RedisServer, journal: Journal, timeout_s: float = 0.3
) -> AsyncIterator[tuple[Counters, Delivery, RedisStore]]:
    store = RedisStore.open(server.url, timeout_s=timeout_s)
    counters = Counters()
    delivery = Delivery(store, journal, counters, every_s=0.02)
    task = asyncio.create_task(delivery.run())
    try:
        yield counters, delivery, store
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.close()
        journal.close()


async def counted(store: RedisStore) -> float:
    counts = await store.counts("signs", window_s=3600)
    return counts.get(KEY, {}).get("answers/edge/0", 0.0)


async def settle(store: RedisStore, wanted: float, patience_s: float = 15.0) -> float:
    end = time.monotonic() + patience_s
    found = -1.0
    while found != wanted and time.monotonic() < end:
        with contextlib.suppress(Exception):
            found = await counted(store)
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    return await counted(store)


@pytest.fixture
def server(tmp_path: Path) -> RedisServer:  # type: ignore[misc]
    (tmp_path / "redis").mkdir()
    own = RedisServer(tmp_path / "redis")
    yield own
    own.kill()


async def add_slowly(counters: Counters, amount: int) -> None:
    for _ in range(amount):
        counters.add(KEY, "answers/edge/0")
        await asyncio.sleep(0.002)


async def until(condition: Callable[[], bool], patience_s: float = 30.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_a_killed_and_restarted_server_counts_to_the_unit(server: RedisServer) -> None:
    async with delivering(server, Journal(None)) as (counters, delivery, store):
        await add_slowly(counters, 100)
        server.kill()
        await add_slowly(counters, 100)
        await until(lambda: delivery.unavailable_since is not None and delivery.backlog > 0)
        server.start()
        await add_slowly(counters, 100)
        assert await settle(store, 300) == 300
        assert (delivery.reason, delivery.backlog) == ("", 0)


async def test_a_frozen_server_counts_nothing_twice(server: RedisServer) -> None:
    async with delivering(server, Journal(None)) as (counters, delivery, store):
        for _ in range(3):
            await add_slowly(counters, 40)
            server.freeze()
            await add_slowly(counters, 40)
            await asyncio.sleep(0.5)
            server.thaw()
        assert await settle(store, 240) == 240
        assert delivery.backlog == 0


async def test_a_full_server_refuses_and_later_takes_everything(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    server = RedisServer(
        tmp_path / "full", "--maxmemory", "100kb", "--maxmemory-policy", "noeviction"
    )
    try:
        async with delivering(server, Journal(None)) as (counters, delivery, store):
            await add_slowly(counters, 50)
            await until(lambda: "memory" in delivery.reason)
            with server.client() as client:
                client.config_set("maxmemory", "100mb")
            assert await settle(store, 50) == 50
    finally:
        server.kill()


async def test_a_server_restarted_empty_goes_on(server: RedisServer) -> None:
    async with delivering(server, Journal(None)) as (counters, _, store):
        await add_slowly(counters, 30)
        assert await settle(store, 30) == 30
        with server.client() as client:
            client.flushall()
        await add_slowly(counters, 20)
        assert await settle(store, 20) == 20


async def test_a_killed_agent_s_journal_is_delivered_once(
    server: RedisServer, tmp_path: Path
) -> None:
    script = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from hawkvision.tracking.store.delivery import Counters, Delivery\n"
        "from hawkvision.tracking.store.journal import Journal\n"
        "from hawkvision.tracking.store.redis import RedisStore\n"
        "from tests.tracking.store.test_delivery import KEY\n"
        "async def main():\n"
        "    journal, counters = Journal(Path(sys.argv[1])), Counters()\n"
        "    delivery = Delivery(RedisStore.open(sys.argv[2]), journal, counters)\n"
        "    for round in range(40):\n"
        "        counters.add(KEY, 'answers/edge/0', 3)\n"
        "        await delivery.collect()\n"
        "        if round == 20: await delivery.deliver()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path / "journal.db"
    for _ in range(2):
        words = [sys.executable, "-c", script, str(path), server.url]
        done = await asyncio.to_thread(subprocess.run, words, check=False, timeout=60)
        assert done.returncode == -9
    async with delivering(server, Journal(path)) as (_, delivery, store):
        assert await settle(store, 240) == 240
        assert delivery.backlog == 0


# Whatever store and journal do.


class Faulty(MemoryStore):
    """Fails in ways that nobody foresaw, as often as it is told to."""

    def __init__(self, faults: int) -> None:
        super().__init__()
        self.faults = faults

    async def add(self, batch: Batch, age_s: float = 0.0) -> None:
        if self.faults > 0:
            self.faults -= 1
            raise AttributeError("'NoneType' object has no attribute 'write'")
        await super().add(batch, age_s)


class Broken(Journal):
    """Cannot keep anything, as often as it is told to."""

    faults = 3

    def append(self, batch: Batch) -> None:
        if self.faults > 0:
            self.faults -= 1
            raise OverflowError("nobody knows")
        super().append(batch)


async def delivered(store: MemoryStore) -> float:
    counts = await store.counts("signs", window_s=300)
    return counts.get(KEY, {}).get("answers/edge/0", 0.0)


async def run_until(delivery: Delivery, condition: Callable[[], bool]) -> None:
    task = asyncio.create_task(delivery.run())
    try:
        await until(condition)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_survives_what_nobody_foresaw_and_says_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, counters = Faulty(4), Counters()
    delivery = Delivery(store, Journal(None), counters, every_s=0.01)
    counters.add(KEY, "answers/edge/0", 5)
    seen: list[DeliveryStatus] = []

    def through() -> bool:
        seen.append(delivery.status())
        return store.faults == 0 and delivery.backlog == 0

    await run_until(delivery, through)
    assert await delivered(store) == 5
    said = [one for one in caplog.records if "cannot be delivered" in one.message]
    assert len(said) == 1 and said[0].exc_info is not None
    assert any("AttributeError: 'NoneType'" in one.reason for one in seen)
    assert any((one.unavailable_s or 0) > 0 for one in seen)
    assert (delivery.status().reason, delivery.status().unavailable_s) == ("", None)


async def test_counts_that_no_journal_took_are_counted_once() -> None:
    store, counters = MemoryStore(), Counters()
    delivery = Delivery(store, Broken(None), counters, every_s=0.01)
    counters.add(KEY, "answers/edge/0", 5)
    task = asyncio.create_task(delivery.run())
    end = time.monotonic() + 30
    while await delivered(store) < 5 and time.monotonic() < end:
        await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await delivered(store) == 5


async def test_a_store_that_is_back_is_noticed_without_any_traffic() -> None:
    delivery = Delivery(MemoryStore(), Journal(None), Counters(), every_s=0.01)
    delivery.away(StoreUnavailable("gone"))
    await run_until(delivery, lambda: delivery.unavailable_s is None)
    assert delivery.reason == ""


async def test_flush_never_raises_and_says_what_is_lost(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for journal, lost in ((Journal(None), True), (Journal(tmp_path / "j.db"), False)):
        caplog.clear()
        counters = Counters()
        counters.add(KEY, "answers/edge/0")
        delivery = Delivery(Faulty(99), journal, counters)
        await delivery.flush(1.0)
        assert any("are lost" in one.message for one in caplog.records) == lost
        journal.close()
    broken = Delivery(MemoryStore(), Broken(None), counters)
    counters.add(KEY, "answers/edge/0")
    await broken.flush(1.0)


async def test_a_cancelled_collection_loses_nothing_and_counts_nothing_twice() -> None:
    for turns in range(12):
        store, counters = MemoryStore(), Counters()
        delivery = Delivery(store, Journal(None), counters)
        counters.add(KEY, "answers/edge/0", 7)
        collecting = asyncio.create_task(delivery.collect())
        for _ in range(turns):
            await asyncio.sleep(0)
        collecting.cancel()
        await asyncio.wait([collecting])
        await delivery.flush(30.0)
        assert await delivered(store) == 7


def test_what_waits_is_shown_while_the_disk_is_busy() -> None:
    """Metrics ask on the loop that serves images, and wait for no disk."""
    journal = Journal(None)
    journal.append(Batch("a", 0.0, {KEY: {"x": 1.0}}))
    delivery = Delivery(MemoryStore(), journal, Counters())
    with journal._lock:
        assert delivery.status() == DeliveryStatus(None, "", 1, 0, "ok")
