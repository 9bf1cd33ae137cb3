"""Servers change their roles, go and come back; stores follow, and counts stay exact."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from hawkvision.errors import StoreUnavailable
from hawkvision.tracking.records import AppTarget, Batch, CountKey
from hawkvision.tracking.store.redis import RedisStore
from tests.processes import free_port
from tests.redis_cluster import RedisCluster
from tests.redis_sentinel import Watched, replicate, swap_roles
from tests.redis_server import PATIENCE_S, RedisServer

KEY = CountKey("signs", "", "0.9")


def batch(name: str, task: str = "signs") -> Batch:
    return Batch(name, 0.0, {CountKey(task, "", "0.9"): {"answers/edge/0": 1.0}})


async def add_until_taken(store: RedisStore, one: Batch) -> int:
    """As an agent delivers; how often it was refused before."""
    end = time.monotonic() + PATIENCE_S
    refused = 0
    while True:
        try:
            await store.add(one)
            return refused
        except StoreUnavailable:
            assert time.monotonic() < end
            refused += 1
            await asyncio.sleep(0.05)


async def total(store: RedisStore, task: str = "signs") -> float:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            counts = await store.counts(task, window_s=300)
            return sum(sum(sums.values()) for sums in counts.values())
        except StoreUnavailable:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)


class Listener:
    """Listens as an agent does: again whenever it ends."""

    def __init__(self, store: RedisStore) -> None:
        self.heard = 0
        self._store = store
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            try:
                async for _ in self._store.changes():
                    self.heard += 1
            except StoreUnavailable:
                await asyncio.sleep(0.05)

    async def hears(self) -> None:
        """Waits until something that is told now is heard."""
        before, end = self.heard, time.monotonic() + PATIENCE_S
        while self.heard == before:
            assert time.monotonic() < end, "nothing is heard any more"
            with contextlib.suppress(StoreUnavailable):
                await self._store.put_app(AppTarget("gate", "signs", "0.9"))
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    yield found
    found.kill()


async def test_a_failover_by_the_sentinel_is_followed(watched: Watched) -> None:
    store = RedisStore.open(watched.url, timeout_s=1.0)
    listener = Listener(store)
    await store.add(batch("a"))
    await listener.hears()
    watched.wait_for_replica()
    former = watched.primary()
    with watched.client() as client:
        client.execute_command("SENTINEL", "FAILOVER", "hawk")
    end = time.monotonic() + PATIENCE_S
    while watched.primary() is former:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    await add_until_taken(store, batch("b"))
    await add_until_taken(store, batch("a"))
    assert await total(store) == 2
    await listener.hears()
    await listener.close()
    await store.close()


async def test_a_swap_that_keeps_connections_open_is_followed(watched: Watched) -> None:
    store = RedisStore.open(watched.url, timeout_s=1.0)
    listener = Listener(store)
    await store.add(batch("a"))
    await listener.hears()
    former = watched.primary()
    watched.swap()
    assert watched.primary() is not former
    assert await add_until_taken(store, batch("b")) >= 1  # READONLY, on the connection of before
    assert await total(store) == 2
    await listener.hears()
    await listener.close()
    await store.close()


async def test_a_primary_that_falls_silent_is_given_up(watched: Watched) -> None:
    """It neither answers nor closes anything, as when its network is cut."""
    store = RedisStore.open(watched.url, timeout_s=0.5)
    listener = Listener(store)
    await store.add(batch("a"))
    await listener.hears()
    watched.wait_for_replica()
    former = watched.primary()
    former.freeze()
    try:
        await add_until_taken(store, batch("b"))
        assert watched.primary() is not former
        assert await total(store) == 2
        await listener.hears()
    finally:
        former.thaw()
    await listener.close()
    await store.close()


async def test_sentinels_that_are_gone_cost_nothing(watched: Watched) -> None:
    gone = f"127.0.0.1:{free_port()}"
    store = RedisStore.open(watched.url.replace("://", f"://{gone},"), timeout_s=1.0)
    await add_until_taken(store, batch("a"))
    assert await total(store) == 1
    await store.close()


async def test_an_unknown_service_is_said(watched: Watched) -> None:
    store = RedisStore.open(watched.url.replace("/hawk", "/dove"), timeout_s=2.0)
    with pytest.raises(StoreUnavailable, match="no Sentinel knows 'dove'"):
        await store.apps()
    await store.close()


async def test_a_name_that_leads_elsewhere_is_followed(tmp_path: Path) -> None:
    """As by DNS: the name stays, what it stands for changes, old connections stay open."""
    servers = [
        RedisServer(tmp_path / name, "--unixsocket", str(tmp_path / f"{name}.sock"))
        for name in ("a", "b")
    ]
    name = tmp_path / "store.sock"
    name.symlink_to(tmp_path / "a.sock")
    try:
        replicate(*servers)
        store = RedisStore.open(f"unix://{name}", timeout_s=1.0)
        listener = Listener(store)
        await store.add(batch("a"))
        await listener.hears()
        swap_roles(*servers)
        name.unlink()
        name.symlink_to(tmp_path / "b.sock")
        assert await add_until_taken(store, batch("b")) >= 1
        assert await total(store) == 2
        await listener.hears()
        await listener.close()
        await store.close()
    finally:
        for server in servers:
            server.kill()


# A cluster.


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    found = RedisCluster(tmp_path)
    yield found
    found.kill()


def on_every_node(cluster: RedisCluster) -> list[str]:
    """A task on each node, in their order."""
    found: dict[int, str] = {}
    for number in range(100):
        task = f"task{number}"
        node = cluster.nodes.index(cluster.holder(f"{{{task}}}"))
        found.setdefault(node, task)
    return [found[index] for index in range(len(cluster.nodes))]


async def test_a_node_that_goes_takes_only_its_own_along(cluster: RedisCluster) -> None:
    store = RedisStore.open(cluster.url, timeout_s=1.0)
    tasks = on_every_node(cluster)
    for task in tasks:
        await store.add(batch("a", task))
    apps = cluster.nodes.index(cluster.holder("hawkvision:apps"))
    gone = (apps + 1) % 3
    cluster.nodes[gone].kill()
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await store.add(batch("b", tasks[gone]))
        for index in {0, 1, 2} - {gone}:
            await add_until_taken(store, batch("b", tasks[index]))
            assert await total(store, tasks[index]) == 2
    cluster.nodes[gone].start()
    await add_until_taken(store, batch("b", tasks[gone]))
    await add_until_taken(store, batch("a", tasks[gone]))
    assert await total(store, tasks[gone]) == 2
    await store.close()


async def test_whichever_node_goes_changes_are_heard(cluster: RedisCluster) -> None:
    store = RedisStore.open(cluster.url, timeout_s=1.0)
    listeners = [Listener(store) for _ in range(6)]  # on nodes by chance
    for listener in listeners:
        await listener.hears()
    apps = cluster.nodes.index(cluster.holder("hawkvision:apps"))
    for offset in (1, 2):
        cluster.nodes[(apps + offset) % 3].kill()
        for listener in listeners:
            await listener.hears()
        cluster.nodes[(apps + offset) % 3].start()
    for listener in listeners:
        await listener.close()
    await store.close()


async def test_slots_that_move_are_followed(cluster: RedisCluster) -> None:
    """ASK while a slot is on its way, MOVED when it has come."""
    store = RedisStore.open(cluster.url, timeout_s=2.0)
    await store.add(batch("a"))
    slot = key_slot(b"{signs}")
    source = cluster.holder("{signs}")
    target = next(node for node in cluster.nodes if node is not source)
    with source.client() as old, target.client() as new:
        names = [client.execute_command("CLUSTER", "MYID").decode() for client in (old, new)]
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
        keys = old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        # Scripts would lie half here and half there until it has ended; single keys are asked for.
        assert await store.thresholds("signs") == {}
        for client in (new, old):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[1])
    await add_until_taken(store, batch("b"))
    await add_until_taken(store, batch("a"))
    assert await total(store) == 2
    await store.close()


async def test_a_cluster_that_is_named_as_one_server_is_said(cluster: RedisCluster) -> None:
    url = cluster.url.replace("redis+cluster", "redis").split(",")[0]
    store = RedisStore.open(url, timeout_s=2.0)
    with pytest.raises(StoreUnavailable, match="is a cluster"):
        for number in range(20):
            await store.add(batch("a", f"task{number}"))
    await store.close()


async def test_one_node_of_a_cluster_is_enough_to_find_the_others(cluster: RedisCluster) -> None:
    store = RedisStore.open(cluster.url.split(",")[0], timeout_s=1.0)
    tasks = on_every_node(cluster)
    for task in tasks:
        await add_until_taken(store, batch("a", task))
    cluster.nodes[0].kill()
    for task in tasks[1:]:
        await add_until_taken(store, batch("b", task))
        assert await total(store, task) == 2
    await store.close()
