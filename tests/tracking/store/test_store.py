"""Both stores keep the same contract."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest, StaleFence, StoreUnavailable
from hawkvision.tracking.records import AgentInfo, AppTarget, Batch, CountKey, ThresholdState
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.buckets import EVER_S, RESOLUTIONS, finest, places
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis import RedisStore, open_client
from tests.processes import free_port
from tests.redis_server import RedisServer

NOW = 1_800_000_003.0
KEY = CountKey("signs", "", "0.9")
_prefixes = itertools.count()


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    loop = asyncio.get_running_loop()
    if request.param == "memory":
        yield MemoryStore(loop.time)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    opened = RedisStore.open(server.url, prefix=f"test{next(_prefixes)}", timeout_s=2.0)
    yield opened
    await opened.close()


def batch(name: str, amount: float = 1.0, age_s: float = 0.0, key: CountKey = KEY) -> Batch:
    return Batch(name, NOW - age_s, {key: {"answers/edge": amount}})


async def total(
    store: Store, window_s: float = 300, now: float = NOW, task: str = "signs"
) -> float:
    counts = await store.counts(task, window_s=window_s, now=now)
    return sum(sum(measures.values()) for measures in counts.values())


async def test_a_batch_counts_once_however_often_it_comes(store: Store) -> None:
    for _ in range(3):
        await store.add(batch("a", 5), NOW)
    await store.add(batch("b", 2), NOW)
    assert await store.counts("signs", window_s=300, now=NOW) == {KEY: {"answers/edge": 7.0}}


async def test_names_of_any_kind_are_kept_apart(store: Store) -> None:
    keys = [
        CountKey("signs", app, target) for app in ("", 'a:"{}', "ä\n") for target in ("0.9", ":")
    ]
    keys.append(CountKey("other {task}", "", "0.9"))
    counts = {key: {"x": float(index), "y z": 0.5} for index, key in enumerate(keys)}
    await store.add(Batch("all", NOW, counts), NOW)
    signs = await store.counts("signs", window_s=300, now=NOW)
    assert signs == {key: counts[key] for key in keys if key.task == "signs"}
    assert await total(store, task="other {task}") == 6.5


async def test_windows_end_and_old_batches_land_in_their_own_time(store: Store) -> None:
    for index, age in enumerate((0, 200, 1000, 3000, 40_000, 200_000)):
        await store.add(batch(f"b{index}", 10.0**index, age), NOW)
    assert await total(store, 300) == 11
    assert await total(store, 3600) == 1111
    assert await total(store, 24 * 3600) == 11111
    assert await total(store, EVER_S) == 111111
    assert await total(store, 300, NOW + 400) == 0


async def test_apps_are_stored_and_forgotten(store: Store) -> None:
    gate = AppTarget("gate", "signs", "0.95", 80.0)
    await store.put_app(AppTarget("belt", "signs", "relative:0.02"))
    await store.put_app(gate)
    assert [app.app for app in await store.apps()] == ["belt", "gate"]
    assert (await store.apps())[1] == gate
    assert await store.delete_app("gate") and not await store.delete_app("gate")
    assert [app.app for app in await store.apps()] == ["belt"]


async def test_one_leads_and_a_former_leader_is_refused(store: Store) -> None:
    first = await store.take_lead("signs", "a", 0.2)
    assert first is not None
    assert await store.take_lead("signs", "b", 0.2) is None
    assert await store.take_lead("signs", "a", 0.2) == first
    state = ThresholdState("0.9", 0.7, "steering", first, NOW)
    await store.put_thresholds("signs", [state], first)
    assert await store.thresholds("signs") == {"0.9": state}
    await asyncio.sleep(0.3)
    second = await store.take_lead("signs", "b", 0.5)
    assert second is not None and second > first
    with pytest.raises(StaleFence):
        await store.put_thresholds("signs", [state], first)
    assert await store.take_lead("other", "c", 0.5) is not None


async def test_changes_are_told_within_a_second(store: Store) -> None:
    heard: list[str] = []

    async def listen() -> None:
        async for change in store.changes():
            heard.extend([change])

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.2)
    fence = await store.take_lead("signs", "a", 5)
    assert fence is not None
    await store.put_thresholds("signs", [ThresholdState("0.9", 0.5, "x", fence, NOW)], fence)
    await store.put_app(AppTarget("gate", "signs", "0.9"))
    await asyncio.sleep(0.5)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert heard == ["signs", "apps"]


async def test_agents_are_known_while_they_are_alive(store: Store) -> None:
    await store.heartbeat(AgentInfo("b", "http://b", ("signs",), NOW, NOW), 5)
    await store.heartbeat(AgentInfo("a", "http://a", (), NOW, NOW), 0.1)
    assert [agent.agent_id for agent in await store.agents()] == ["a", "b"]
    await asyncio.sleep(0.2)
    assert [agent.agent_id for agent in await store.agents()] == ["b"]


async def test_a_request_is_claimed_once_and_the_secret_is_shared(store: Store) -> None:
    assert [await store.claim("signs", "r1", 60) for _ in range(3)] == [True, False, False]
    assert await store.secret(b"one" * 8) == b"one" * 8
    assert await store.secret(b"two" * 8) == b"one" * 8


async def test_many_writers_lose_nothing(store: Store) -> None:
    async def write(writer: int) -> None:
        for index in range(40):
            await store.add(batch(f"{writer}-{index}", writer + 1), NOW)

    await asyncio.gather(*(write(writer) for writer in range(5)))
    assert await total(store) == 40 * 15


@pytest.mark.parametrize(
    "url", ["redis://h:1/0", "rediss://h/1", "unix:///x.sock", "redis+sentinel://a:1,b:2/main"]
)
async def test_addresses_of_all_kinds_are_taken(url: str) -> None:
    await open_client(url, 0.1).aclose()


def test_other_addresses_are_refused() -> None:
    for url in ("http://h", "", "localhost:6379"):
        with pytest.raises(InvalidRequest):
            open_client(url, 0.1)


async def test_nobody_there_is_said_in_time() -> None:
    store = RedisStore.open(f"redis://127.0.0.1:{free_port()}/0", timeout_s=0.5)
    start = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailable):
        await store.add(batch("x"), NOW)
    assert asyncio.get_running_loop().time() - start < 1.5
    await store.close()


@given(st.floats(0, 2e9), st.floats(0, 90_000))
def test_an_event_is_found_by_every_window_that_covers_it(now: float, age: float) -> None:
    kept = dict(places(now - age, now))
    for window in (300.0, 3600.0, 86_400.0):
        resolution = finest(window)
        if age <= window - resolution.width_s:
            assert kept[resolution] in resolution.span(window, now)
        elif age > window + resolution.width_s:
            assert resolution not in kept or kept[resolution] not in resolution.span(window, now)


def test_resolutions_answer_the_windows_that_are_offered() -> None:
    assert [finest(window) for window in (300, 3600, 86_400, EVER_S)] == list(RESOLUTIONS)
    assert [len(r.span(r.kept_s, NOW)) for r in RESOLUTIONS[:3]] == [90, 70, 100]
    assert list(RESOLUTIONS[3].span(EVER_S, NOW)) == [0]
