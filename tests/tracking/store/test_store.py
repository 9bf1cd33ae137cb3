"""All stores keep the same contract."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hawkvision.errors import LimitReached, StaleFence
from hawkvision.tracking.counts import PROBES, TASK_WIDE
from hawkvision.tracking.records import (
    AgentInfo,
    AppTarget,
    Batch,
    Change,
    CountKey,
    ThresholdState,
    other,
)
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.bound import MOST_NOTES
from hawkvision.tracking.trust import vouched
from tests.tracking.store.conftest import Open

KEY = CountKey("signs", "", "0.9")
NOW = 1_800_000_003.0
DAY = 24 * 3600.0


def batch(name: str, amount: float = 1.0, key: CountKey = KEY) -> Batch:
    return Batch(name, NOW, {key: {"answers/edge/0": amount}})


async def total(store: Store, window_s: float = 300, task: str = "signs") -> float:
    counts = await store.counts(task, window_s=window_s)
    return sum(sum(measures.values()) for measures in counts.values())


async def test_a_batch_counts_once_however_often_it_comes(store: Store) -> None:
    for _ in range(3):
        await store.add(batch("a", 5))
    await store.add(batch("b", 2))
    assert await store.counts("signs", window_s=300) == {KEY: {"answers/edge/0": 7.0}}


async def test_names_of_any_kind_are_kept_apart(store: Store) -> None:
    odd = ("", 'a:"{}', "ä\n", "\\]", "/")
    keys = [CountKey("signs", app, target) for app in odd for target in ("0.9", ":")]
    keys += [CountKey(task, "", "0.9") for task in ("other {task}", "}", "{", "%7B")]
    counts = {key: {"x": float(index + 1), "y z": 0.5} for index, key in enumerate(keys)}
    await store.add(Batch("all", NOW, counts))
    for task in {key.task for key in keys}:
        found = await store.counts(task, window_s=300)
        assert found == {key: counts[key] for key in keys if key.task == task}


async def test_amounts_are_kept_to_the_last_digit(store: Store) -> None:
    amounts = {"x": 0.1, "y": 1e-9, "z": 123456789.123}
    await store.add(Batch("a", NOW, {KEY: amounts}))
    assert await store.counts("signs", window_s=300) == {KEY: amounts}


async def test_what_is_no_number_is_passed_over(store: Store) -> None:
    sums = {"x": float("nan"), "y": float("inf"), "z": 1.0}
    await store.add(Batch("a", NOW, {KEY: sums}))
    await store.add(batch("b"))
    assert await store.counts("signs", window_s=300) == {KEY: {"z": 1.0, "answers/edge/0": 1.0}}


async def test_old_batches_land_in_their_own_time(store: Store) -> None:
    for index, age_s in enumerate((0, 200, 1000, 3000, 40_000)):
        await store.add(batch(f"b{index}", 10.0**index), age_s)
    assert await total(store, 300) == 11
    assert await total(store, 3600) == 1111
    assert await total(store, DAY) == 11111


@pytest.mark.parametrize("age_s", [-3 * DAY, -1.0, 3 * DAY, 50 * 365 * DAY, float("nan")])
async def test_a_batch_whose_age_cannot_be_is_counted_now(store: Store, age_s: float) -> None:
    await store.add(batch("a"), age_s)
    assert [await total(store, window_s) for window_s in (300, 3600, DAY)] == [1, 1, 1]


# What is fresh.


async def test_what_is_fresh_is_seen_once(store: Store) -> None:
    await store.add(batch("before", 100))
    first = await store.since("signs", None)
    assert first.baseline and not first.counts
    await store.add(batch("a", 1))
    await store.add(batch("a", 1))
    await store.add(batch("old", 2), 3600)
    second = await store.since("signs", first.cursor)
    assert (second.counts, second.baseline) == ({KEY: {"answers/edge/0": 3.0}}, False)
    third = await store.since("signs", second.cursor)
    assert (third.counts, third.baseline) == ({}, False)


async def test_the_same_cursor_again_misses_nothing(store: Store) -> None:
    cursor = (await store.since("signs", None)).cursor
    seen = 0.0
    for index in range(20):
        await store.add(batch(f"b{index}"))
        await store.since("signs", cursor)  # its answer was lost on the way
        fresh = await store.since("signs", cursor)
        assert not fresh.baseline
        seen += sum(fresh.counts.get(KEY, {}).values())
        cursor = fresh.cursor
    seen += sum((await store.since("signs", cursor)).counts.get(KEY, {}).values())
    assert seen == 20


async def test_nothing_is_missed_while_others_write(store: Store) -> None:
    async def write(writer: int) -> None:
        for index in range(40):
            await store.add(batch(f"{writer}-{index}"))
            await asyncio.sleep(0)

    async def read(cursor: str) -> float:
        seen = 0.0
        while seen < 160:
            fresh = await store.since("signs", cursor)
            assert not fresh.baseline
            cursor = fresh.cursor
            seen += sum(fresh.counts.get(KEY, {}).values())
            await asyncio.sleep(0)
        return seen

    cursor = (await store.since("signs", None)).cursor
    seen, *_ = await asyncio.gather(read(cursor), *(write(writer) for writer in range(4)))
    assert seen == 160


async def test_a_new_leader_and_the_former_one_see_the_same(store: Store) -> None:
    cursors = [(await store.since("signs", None)).cursor for _ in range(2)]
    seen = [0.0, 0.0]
    for index in range(12):
        await store.add(batch(f"b{index}"))
        for reader in range(2):
            fresh = await store.since("signs", cursors[reader])
            assert not fresh.baseline
            cursors[reader] = fresh.cursor
            seen[reader] += sum(fresh.counts.get(KEY, {}).values())
    for reader in range(2):
        fresh = await store.since("signs", cursors[reader])
        seen[reader] += sum(fresh.counts.get(KEY, {}).values())
    assert seen == [12, 12]


async def test_what_is_fresh_is_of_one_task(store: Store) -> None:
    cursor = (await store.since("signs", None)).cursor
    await store.add(batch("a", key=CountKey("other", "", "0.9")))
    assert not (await store.since("signs", cursor)).counts


async def test_a_cursor_that_is_gone_is_a_new_baseline(open_empty: Open) -> None:
    store = open_empty()
    old = (await store.since("signs", None)).cursor
    cursor = old
    for index in range(10):
        await store.add(batch(f"b{index}"))
        cursor = (await store.since("signs", cursor)).cursor
    forgotten = await store.since("signs", old)
    assert forgotten.baseline and not forgotten.counts
    anew = open_empty()
    await anew.add(batch("a"))
    foreign = await anew.since("signs", cursor)
    assert foreign.baseline and not foreign.counts
    await anew.add(batch("b"))
    assert (await anew.since("signs", foreign.cursor)).counts == {KEY: {"answers/edge/0": 1.0}}


# The bound on keys.


async def test_keys_beyond_the_bound_are_counted_together(open_empty: Open) -> None:
    store = open_empty(most_keys=4)
    cursor = (await store.since("signs", None)).cursor
    for index in range(10):
        key = CountKey("signs", f"app{index}", "0.9")
        counts = {key: {"x": 1.0}, CountKey("signs", "", TASK_WIDE): {"x": 1.0}}
        await store.add(Batch(f"b{index}", NOW, counts))
    await store.add(batch("again", 1.0, CountKey("signs", "app0", "0.9")))
    apps = [f"app{index}" for index in range(4)]
    expected = {CountKey("signs", app, "0.9"): {"x": 1.0} for app in apps}
    expected[CountKey("signs", "app0", "0.9")]["answers/edge/0"] = 1.0
    expected |= {CountKey("signs", "", TASK_WIDE): {"x": 10.0}, other("signs"): {"x": 6.0}}
    for window_s in (300, 3600, DAY):
        assert await store.counts("signs", window_s=window_s) == expected
    assert (await store.since("signs", cursor)).counts == expected


async def test_the_bound_is_each_task_s_own_and_leaves_probes_alone(open_empty: Open) -> None:
    store = open_empty(most_keys=1)
    keys = [CountKey(task, app, "0.9") for task in ("a", "b") for app in ("x", "y")]
    keys.append(CountKey("a", "", PROBES))
    await store.add(Batch("all", NOW, {key: {"n": 1.0} for key in keys}))
    assert await store.counts("a", window_s=300) == {
        keys[0]: {"n": 1.0},
        keys[4]: {"n": 1.0},
        other("a"): {"n": 1.0},
    }
    assert set(await store.counts("b", window_s=300)) == {keys[2], other("b")}


async def test_nobody_without_a_key_takes_the_room_of_apps_with_theirs(open_empty: Open) -> None:
    store = open_empty(most_keys=3)
    flood = [CountKey("signs", f"app{index}", "0.9") for index in range(20)]
    await store.add(Batch("flood", NOW, {key: {"n": 1.0} for key in flood}))
    apps = [CountKey("signs", vouched(name), "0.9") for name in ("gate", "belt", "", "more")]
    apps.append(CountKey("signs", vouched("gate"), TASK_WIDE))
    await store.add(Batch("apps", NOW, {key: {"n": 1.0} for key in apps}))
    found = await store.counts("signs", window_s=300)
    assert set(found) == {*flood[:3], other("signs"), *apps[:3], other("signs", with_key=True)} | {
        apps[4]
    }
    assert found[other("signs")] == {"n": 17.0}
    assert found[other("signs", with_key=True)] == {"n": 1.0}


# Apps, thresholds, who leads.


async def test_there_is_a_bound_on_apps(open_empty: Open) -> None:
    store = open_empty(most_apps=2)
    for name in ("a", "b", "a"):
        await store.put_app(AppTarget(name, "signs", "0.9"))
    with pytest.raises(LimitReached, match="2 apps are stored"):
        await store.put_app(AppTarget("c", "signs", "0.9"))
    await store.put_app(AppTarget("b", "signs", "0.8"))
    assert await store.delete_app("a")
    await store.put_app(AppTarget("c", "signs", "0.9"))
    found = [(app.app, app.accuracy) for app in await store.apps()]
    assert found == [("b", "0.8"), ("c", "0.9")]


async def test_apps_are_stored_and_forgotten(store: Store) -> None:
    gate = AppTarget("gate", "signs", "0.95", 80.0)
    await store.put_app(AppTarget("belt", "signs", "relative:0.02"))
    await store.put_app(gate)
    assert [app.app for app in await store.apps()] == ["belt", "gate"]
    assert (await store.apps())[1] == gate
    assert await store.delete_app("gate") and not await store.delete_app("gate")
    assert [app.app for app in await store.apps()] == ["belt"]


async def test_one_leads_and_a_former_leader_is_refused(store: Store) -> None:
    first = await store.take_lead("signs", "a", 60)
    assert first is not None
    assert await store.take_lead("signs", "b", 60) is None
    assert await store.take_lead("signs", "a", 0.05) == first
    state = ThresholdState("0.9", 0.7, "steering", first, NOW)
    await store.put_thresholds("signs", [state], first)
    assert await store.thresholds("signs") == {"0.9": state}
    second = None
    while second is None:
        second = await store.take_lead("signs", "b", 60)
    assert second > first
    with pytest.raises(StaleFence):
        await store.put_thresholds("signs", [state], first)
    assert await store.take_lead("other", "c", 0.5) is not None


async def test_a_shared_window_says_what_was_counted(store: Store) -> None:
    """To the last bit, for who reads it first and for who comes after."""
    key = CountKey("signs", 'a"b/é', "0.9")
    for number in range(5):
        await store.add(Batch(str(number), NOW, {key: {"answers/edge/0": 1.0, "k": 0.1}}))
    fresh = await store.counts("signs", window_s=300)
    assert fresh[key]["answers/edge/0"] == 5
    for _ in range(2):
        assert await store.counts("signs", window_s=300, old_s=60.0) == fresh
    other = await store.counts("signs", window_s=3600, old_s=60.0)
    assert other == fresh
    assert await store.counts("empty", window_s=300, old_s=60.0) == {}


async def test_a_shared_window_is_never_older_than_it_may_be(store: Store) -> None:
    assert await store.counts("signs", window_s=300, old_s=0.2) == {}
    await store.add(Batch("b", NOW, {CountKey("signs", "", "0.9"): {"k": 1.0}}))
    await asyncio.sleep(0.3)
    assert await store.counts("signs", window_s=300, old_s=0.2) != {}


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[list[Change]]:
    """What is heard, from when something was heard at all."""
    heard: list[Change] = []

    async def listen() -> None:
        async for change in store.changes():
            heard.extend([change])

    task = asyncio.create_task(listen())
    while not heard:
        await store.put_app(AppTarget("call", "signs", "0.9"))
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    heard.clear()
    yield heard
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_changes_are_told_as_they_happen(store: Store) -> None:
    async with listening(store) as heard:
        fence = await store.take_lead("signs", "a", 60)
        assert fence is not None
        state = ThresholdState("0.9", 0.5, "x", fence, NOW)
        await store.put_thresholds("signs", [state], fence)
        await store.put_app(AppTarget("gate", "signs", "0.9"))
        await store.delete_app("gate")
        end = time.monotonic() + 20
        while len(heard) < 3 and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert [change.what for change in heard] == ["signs", "apps", "apps"]
        assert heard[0].states in ((), (state,))


async def test_thresholds_that_were_refused_are_not_told(store: Store) -> None:
    async with listening(store) as heard:
        first = await store.take_lead("signs", "a", 0.01)
        while (second := await store.take_lead("signs", "b", 60)) is None:
            pass
        with pytest.raises(StaleFence):
            await store.put_thresholds("signs", [], first or 0)
        await store.put_thresholds("signs", [], second)
        await store.put_app(AppTarget("last", "signs", "0.9"))
        end = time.monotonic() + 20
        while len(heard) < 2 and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert heard == [Change("signs"), Change("apps")]


async def test_agents_are_known_while_they_are_alive(store: Store) -> None:
    assert await store.agents() == []
    await store.heartbeat(AgentInfo("b", "http://b", ("signs",), NOW, NOW), 60)
    await store.heartbeat(AgentInfo("a", "http://a", (), NOW, NOW), 60)
    assert [agent.agent_id for agent in await store.agents()] == ["a", "b"]
    await store.heartbeat(AgentInfo("a", "http://a", (), NOW, NOW), 0.02)
    end = time.monotonic() + 20
    while len(await store.agents()) > 1 and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert [agent.agent_id for agent in await store.agents()] == ["b"]


async def test_a_request_is_claimed_once_and_the_secret_is_shared(store: Store) -> None:
    assert [await store.claim("signs", "r1", 60) for _ in range(3)] == [True, False, False]
    assert await store.secret(b"one" * 8) == b"one" * 8
    assert await store.secret(b"two" * 8) == b"one" * 8


async def test_many_writers_lose_nothing(store: Store) -> None:
    async def write(writer: int) -> None:
        for index in range(40):
            await store.add(batch(f"{writer}-{index}", writer + 1))

    await asyncio.gather(*(write(writer) for writer in range(5)))
    assert await total(store) == 40 * 15


async def test_many_tasks_live_side_by_side(store: Store) -> None:
    tasks = [f"task{index}" for index in range(12)]  # on all nodes of a cluster
    await store.add(Batch("all", NOW, {CountKey(task, "", "0.9"): {"n": 1.0} for task in tasks}))
    assert [await total(store, task=task) for task in tasks] == [1.0] * 12
    assert [await store.take_lead(task, "a", 60) for task in tasks] == [1] * 12


async def test_closing_again_does_no_harm(store: Store) -> None:
    await store.add(batch("a"))
    await store.close()
    await store.close()


async def test_notes_are_kept_by_subject_and_agent(store: Store) -> None:
    assert await store.notes("halt/signs@2") == {}
    await store.put_note("halt/signs@2", "b", "worse")
    await store.put_note("halt/signs@2", "a", 'ä "{}" \n')
    await store.put_note("halt/signs@2", "b", "slower")
    await store.put_note("halt/signs@3", "a", "worse")
    assert await store.notes("halt/signs@2") == {"a": 'ä "{}" \n', "b": "slower"}
    assert await store.notes("halt/signs@3") == {"a": "worse"}


async def test_notes_of_more_agents_than_there_is_room_for_are_passed_over(store: Store) -> None:
    for number in range(MOST_NOTES + 1):
        await store.put_note("full", f"agent-{number}", "here")
    found = await store.notes("full")
    assert len(found) == MOST_NOTES
    assert f"agent-{MOST_NOTES}" not in found
    await store.put_note("full", "agent-0", "there")
    assert (await store.notes("full"))["agent-0"] == "there"
