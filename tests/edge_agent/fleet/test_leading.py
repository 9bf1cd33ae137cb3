"""Who leads sets thresholds; thresholds in force are never below the certified ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_agent.fleet.leading import Leading
from edge_agent.local import LocalTask
from hawkvision.cascade import AccuracyTarget, parse_accuracy
from hawkvision.errors import StoreUnavailable
from hawkvision.tracking import counts
from hawkvision.tracking.records import Batch, CountKey, ThresholdState
from hawkvision.tracking.store.delivery import Counters
from hawkvision.tracking.store.memory import MemoryStore

NOW = 1e9
CERTIFIED = AccuracyTarget(parse_accuracy("0.8"), 0.5, 0.2)


def leading(
    local: LocalTask, store: MemoryStore, agent: str = "a", control: bool = True
) -> Leading:
    return Leading({"tiny": local.policy}, store, agent, control=control)


def state(target: str, threshold: float, name: str = "steering") -> ThresholdState:
    return ThresholdState(target, threshold, name, 1, NOW)


async def in_force(local: LocalTask, *states: ThresholdState, app: str = "") -> float:
    """The threshold of the target 0.8 where the leader has set these."""
    store = MemoryStore(lambda: NOW)
    await store.put_thresholds("tiny", states, 1)
    follower = leading(local, store, control=False)
    await follower.refresh("tiny", NOW)
    return follower.in_force("tiny", CERTIFIED, app).threshold


@pytest.mark.parametrize(
    ("states", "threshold"),
    [
        ((), 0.5),
        ((state("0.8", 0.7),), 0.7),
        ((state("0.8", 0.3),), 0.5),
        ((state("0.9", 0.7),), 0.5),
        ((state("0.8", 0.7), state("frozen:gate", 0.0, "frozen")), 0.5),
        ((state("0.8", 0.7), state("frozen:*", 0.0, "frozen")), 0.5),
        ((state("0.8", 0.7), state("frozen:gate", 0.0, "free")), 0.7),
        ((state("0.8", 0.7), state("frozen:belt", 0.0, "frozen")), 0.7),
    ],
)
async def test_a_threshold_is_raised_but_never_lowered_nor_for_a_frozen_app(
    local: LocalTask, states: tuple[ThresholdState, ...], threshold: float
) -> None:
    assert await in_force(local, *states, app="gate") == threshold


async def drift(store: MemoryStore, batch_id: str, wrong: float = 0.5, sure: float = 0.6) -> None:
    """Traffic whose edge is sure of itself and wrong half of the time."""
    counters = Counters()
    key = CountKey("tiny", "", "0.8")
    for _ in range(800):
        counts.answered(
            counters.add,
            key,
            served_by="edge",
            degraded=None,
            loss_level=0.0,
            edge_confidence=sure,
            answer_confidence=sure,
        )
        counts.compared(
            counters.add, "tiny", edge_confidence=sure, edge_error=wrong, dc_error=0.0, weight=1.0
        )
    batch = counters.take(NOW)
    assert batch is not None
    await store.add(Batch(batch_id, NOW, batch.counts), NOW)


async def test_the_leader_steers_and_the_others_follow(local: LocalTask) -> None:
    store = MemoryStore(lambda: NOW)
    leader, follower = leading(local, store, "a"), leading(local, store, "b")
    await leader.refresh("tiny", NOW)
    for number in range(5):
        await drift(store, str(number))
        await leader.refresh("tiny", NOW)
        await follower.refresh("tiny", NOW)
    floor = local.policy.resolve(parse_accuracy("0.8"))
    raised = leader.in_force("tiny", floor, "").threshold
    assert raised > floor.threshold
    assert follower.in_force("tiny", floor, "").threshold == raised


async def test_without_control_an_agent_leads_nothing(local: LocalTask) -> None:
    store = MemoryStore(lambda: NOW)
    await leading(local, store, "a", control=False).refresh("tiny", NOW)
    assert await store.take_lead("tiny", "b", 3.0) is not None


async def test_while_the_store_is_away_the_thresholds_in_force_stay(local: LocalTask) -> None:
    class Leaving(MemoryStore):
        away = False

        async def thresholds(self, task: str) -> dict[str, ThresholdState]:
            if self.away:
                raise StoreUnavailable("away")
            return await super().thresholds(task)

    store = Leaving(lambda: NOW)
    await store.put_thresholds("tiny", [state("0.8", 0.7)], 1)
    follower = leading(local, store, control=False)
    await follower.refresh("tiny", NOW)
    store.away = True
    with pytest.raises(StoreUnavailable):
        await follower.refresh("tiny", NOW)
    assert follower.in_force("tiny", CERTIFIED, "").threshold == 0.7


class Told(MemoryStore):
    """Counts what is asked, and publications."""

    asked = 0
    puts = 0

    async def take_lead(self, task: str, agent_id: str, ttl_s: float) -> int | None:
        self.asked += 1
        return await super().take_lead(task, agent_id, ttl_s)

    async def put_thresholds(self, task: str, states: Sequence[ThresholdState], fence: int) -> None:
        self.puts += 1
        await super().put_thresholds(task, states, fence)


async def test_what_is_told_is_in_force_without_asking(local: LocalTask) -> None:
    follower = leading(local, MemoryStore(lambda: NOW), control=False)
    follower.heard("tiny", [state("0.8", 0.7)])
    assert follower.in_force("tiny", CERTIFIED, "").threshold == 0.7
    follower.heard("tiny", [state("0.9", 0.9)])
    assert follower.in_force("tiny", CERTIFIED, "").threshold == 0.7
    follower.heard("another", [state("0.8", 0.9)])
    assert follower.thresholds("another") == {}


async def test_what_is_told_while_the_store_is_read_is_newer(local: LocalTask) -> None:
    class Slow(MemoryStore):
        async def thresholds(self, task: str) -> dict[str, ThresholdState]:
            found = await super().thresholds(task)
            follower.heard("tiny", [state("0.8", 0.8)])
            return found

    store = Slow(lambda: NOW)
    follower = leading(local, store, control=False)
    await store.put_thresholds("tiny", [state("0.8", 0.7), state("0.9", 0.9)], 1)
    await follower.refresh("tiny", NOW)
    assert follower.in_force("tiny", CERTIFIED, "").threshold == 0.8
    assert set(follower.thresholds("tiny")) == {"0.8", "0.9"}


async def test_small_moves_are_published_together_and_large_ones_at_once(
    local: LocalTask,
) -> None:
    store = Told(lambda: NOW)
    leader = leading(local, store)
    await leader.refresh("tiny", NOW)
    await drift(store, "0", wrong=0.0)
    assert not await leader.refresh("tiny", NOW)  # what is certified holds
    assert store.puts == 1
    for number in range(1, 20):
        now = NOW + 0.01 * number
        await drift(store, str(number), sure=0.95)
        await leader.refresh("tiny", now)
    assert store.puts == 1  # within the gap, however much moved
    assert await leader.refresh("tiny", NOW + 0.3)  # a rise: to be steered on at once
    assert store.puts == 2
    assert not await leader.refresh("tiny", NOW + 0.6)
    assert store.puts == 2


async def test_who_follows_asks_for_the_lead_every_second_time(local: LocalTask) -> None:
    store = Told(lambda: NOW)
    leader, follower = leading(local, store, "a"), leading(local, store, "b")
    await leader.refresh("tiny", NOW)
    store.asked = 0
    for _ in range(6):
        await follower.refresh("tiny", NOW)
    assert store.asked == 3
    for _ in range(6):
        await leader.refresh("tiny", NOW)
    assert store.asked == 9


async def test_a_lead_that_is_free_is_taken_by_the_second_time(local: LocalTask) -> None:
    now = NOW
    store = Told(lambda: now)
    leader, follower = leading(local, store, "a"), leading(local, store, "b")
    await leader.refresh("tiny", NOW)
    await follower.refresh("tiny", NOW)
    now += 4.0
    for _ in range(2):
        await follower.refresh("tiny", NOW)
    assert await store.take_lead("tiny", "a", 3.0) is None
