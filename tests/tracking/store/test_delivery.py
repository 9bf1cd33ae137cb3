"""Counts reach Redis once, whatever happens to it on the way."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hawkvision.tracking.records import CountKey
from hawkvision.tracking.store.delivery import Counters, Delivery
from hawkvision.tracking.store.journal import Journal
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
    counts = await store.counts("signs", window_s=3600, now=time.time())
    return counts.get(KEY, {}).get("answers/edge", 0.0)


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
        counters.add(KEY, "answers/edge")
        await asyncio.sleep(0.002)


async def test_a_killed_and_restarted_server_counts_to_the_unit(server: RedisServer) -> None:
    async with delivering(server, Journal(None)) as (counters, delivery, store):
        await add_slowly(counters, 100)
        server.kill()
        await add_slowly(counters, 100)
        assert delivery.unavailable_since is not None and delivery.backlog > 0
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
            assert delivery.unavailable_since is not None and "memory" in delivery.reason
            with server.client() as client:
                client.config_set("maxmemory", "100mb")
            assert await settle(store, 50) == 50
    finally:
        server.kill()


async def test_a_journal_that_cannot_be_written_loses_nothing(server: RedisServer) -> None:
    journal = Journal(None)
    async with delivering(server, journal) as (counters, _, store):
        journal._db.execute("PRAGMA query_only = 1")
        await add_slowly(counters, 25)
        await asyncio.sleep(0.2)
        journal._db.execute("PRAGMA query_only = 0")
        assert await settle(store, 25) == 25


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
        "        counters.add(KEY, 'answers/edge', 3)\n"
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
