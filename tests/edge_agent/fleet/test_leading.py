"""Who leads sets thresholds; thresholds in force are never below the certified ones."""

from __future__ import annotations

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


async def drift(store: MemoryStore, batch_id: str) -> None:
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
            edge_confidence=0.6,
            answer_confidence=0.6,
        )
        counts.compared(
            counters.add, "tiny", edge_confidence=0.6, edge_error=0.5, dc_error=0.0, weight=1.0
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
