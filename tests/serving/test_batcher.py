"""The batcher under every traffic: nothing lost, nothing late as far as it knew, bounds, shares."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.errors import DeadlineExceeded, HawkVisionError, Overloaded
from hawkvision.serving.batch_cost import BatchCost
from hawkvision.serving.batcher import Batcher
from hawkvision.serving.claims import Claim, Priority
from hawkvision.serving.waiting import Batch, Limits, Waiting


class Known(BatchCost):
    """A cost that is known and stays."""

    def __init__(self, setup_s: float, each_s: float) -> None:
        super().__init__()
        self.setup_s, self.each_s, self.batches = setup_s, each_s, 1

    def add(self, images: int, took_s: float) -> None:
        """Nothing is to be learned."""


@dataclass
class Simulated:
    """Calls at given times through one batcher, whose batches take what it expects."""

    batcher: Batcher[int]
    clock: float = 0.0
    ends: list[tuple[float, int, Batch[int]]] = field(default_factory=list)
    refused: dict[int, HawkVisionError] = field(default_factory=dict)
    turned: dict[int, HawkVisionError] = field(default_factory=dict)
    answered: dict[int, float] = field(default_factory=dict)
    batches: list[Batch[int]] = field(default_factory=list)
    order: count[int] = field(default_factory=count)

    def arrive(self, waiting: Waiting[int], at: float) -> None:
        self.run(at)
        self.clock = max(self.clock, at)
        try:
            turned = self.batcher.offer(waiting, self.clock)
        except HawkVisionError as error:
            self.refused[waiting.work] = error
        else:
            self.turned |= {one.waiting.work: one.error for one in turned}
        self.step()

    def step(self) -> None:
        while True:
            batch, turned = self.batcher.take(self.clock)
            self.turned |= {one.waiting.work: one.error for one in turned}
            if batch is None:
                return
            self.batches.append(batch)
            took_s = self.batcher.cost.expected_s(batch.images)
            heapq.heappush(self.ends, (self.clock + took_s, next(self.order), batch))

    def run(self, until: float = math.inf) -> None:
        """Let everything happen that is due before `until`."""
        while True:
            end = self.ends[0][0] if self.ends else math.inf
            at = max(self.clock, min(end, self.batcher.due(self.clock)))
            if at >= until or at == math.inf:
                return
            self.clock = at
            if end <= at:
                batch = heapq.heappop(self.ends)[2]
                self.answered |= {one.work: at for one in batch.members}
                self.batcher.ended(batch, at - batch.began, at)
            self.step()


costs = st.builds(Known, st.floats(0, 0.02), st.floats(1e-4, 0.01))
calls = st.lists(
    st.tuples(
        st.floats(0, 0.02),  # after the one before
        st.integers(1, 6),
        st.floats(0.0, 0.3),  # allowed
        st.sampled_from(list(Priority)),
        st.sampled_from("ab"),
    ),
    max_size=60,
)
Calls = list[tuple[float, int, float, Priority, str]]


def simulated(
    arriving: Calls, cost: BatchCost, slots: int, limits: Limits | None = None
) -> tuple[Simulated, list[Waiting[int]]]:
    simulation = Simulated(Batcher(limits or Limits(8, 24, 10**6), slots, cost))
    at, sent = 0.0, []
    for number, (after, items, allowed, priority, client) in enumerate(arriving):
        at += after
        claim = Claim(client, 1.0, priority, allowed)
        sent.append(Waiting(number, items, items * 10, at + allowed, claim))
        simulation.arrive(sent[-1], at)
    simulation.run()
    return simulation, sent


@settings(max_examples=200, deadline=None)
@given(calls, costs, st.integers(1, 3))
def test_every_call_has_exactly_one_end(arriving: Calls, cost: BatchCost, slots: int) -> None:
    simulation, sent = simulated(arriving, cost, slots)
    ends = Counter([*simulation.refused, *simulation.turned, *simulation.answered])
    assert ends == Counter(one.work for one in sent)
    assert simulation.batcher.idle and simulation.batcher.size == 0


@settings(max_examples=200, deadline=None)
@given(calls, costs, st.integers(1, 3))
def test_none_is_answered_late_but_what_came_to_an_idle_model(
    arriving: Calls, cost: BatchCost, slots: int
) -> None:
    simulation, sent = simulated(arriving, cost, slots)
    trials = {one.work for batch in simulation.batches if batch.trial for one in batch.members}
    for one in sent:
        if one.work in simulation.answered and one.work not in trials:
            assert simulation.answered[one.work] <= one.deadline + 1e-9


@settings(max_examples=200, deadline=None)
@given(calls, costs, st.integers(1, 3))
def test_batches_and_what_waits_are_bounded(arriving: Calls, cost: BatchCost, slots: int) -> None:
    limits = Limits(8, 12, 150)
    batcher: Batcher[int] = Batcher(limits, slots, cost)
    running: list[Batch[int]] = []
    at = 0.0
    for number, (after, items, allowed, priority, client) in enumerate(arriving):
        at += after
        claim = Claim(client, 1.0, priority, allowed)
        with suppress(HawkVisionError):
            batcher.offer(Waiting(number, items, items * 20, at + allowed, claim), at)
        alone = len(list(batcher._queue)) == 1
        assert alone or (batcher.images <= limits.images and batcher.size <= limits.size)
        batch, _ = batcher.take(at)
        if batch is not None:
            running.append(batch)
            assert batch.images <= limits.batch or len(batch.members) == 1
        assert len(running) <= slots
        if number % 5 == 4 and running:
            batcher.ended(running.pop(0), 0.001, at)


@settings(max_examples=200, deadline=None)
@given(calls, costs)
def test_audits_and_probes_take_nothing_from_users(arriving: Calls, cost: BatchCost) -> None:
    """With others waiting, no batch leaves a user for later that would fit in their place."""
    batcher: Batcher[int] = Batcher(Limits(8, 24, 10**6), 1, cost)
    at = 0.0
    for number, (after, items, allowed, priority, client) in enumerate(arriving):
        at += after
        claim = Claim(client, 1.0, priority, allowed)
        users = sum(one.items for one in batcher._queue if one.claim.priority is Priority.USER)
        try:
            batcher.offer(Waiting(number, items, 0, at + 100.0, claim), at)
        except Overloaded:
            assert priority is not Priority.USER or users + items > 24
        if number % 7 == 6:
            batch, _ = batcher.take(at + 1.0)
            if batch is None:
                continue
            left = [one.claim.priority for one in batcher._queue]
            assert max(one.claim.priority for one in batch.members) <= min(left, default=9)
            batcher.ended(batch, None, at)


def test_among_those_that_always_wait_weights_share_the_batches() -> None:
    batcher: Batcher[str] = Batcher(Limits(8, 10_000, 10**9), 1, Known(0.001, 0.001))
    for index in range(900):
        for client, weight in (("light", 1.0), ("heavy", 3.0)):
            batcher.offer(Waiting(client, 1 + index % 3, 1, 1e6, Claim(client, weight)), 0.0)
    got: Counter[str] = Counter()
    for step in range(100):
        batch, _ = batcher.take(float(step))
        assert batch is not None
        for one in batch.members:
            got[one.work] += one.items
        batcher.ended(batch, None, float(step))
    assert abs(got["heavy"] / 3 - got["light"]) <= 3 + 1


def full_slot(cost: BatchCost, limits: Limits | None = None) -> Batcher[str]:
    """A batcher whose one slot is at work since 0.0."""
    batcher: Batcher[str] = Batcher(limits or Limits(), 1, cost)
    batcher.offer(Waiting("first"), 0.0)
    batch, _ = batcher.take(0.0)
    assert batch is not None
    return batcher


def test_what_cannot_be_in_time_is_refused_at_once_and_told_which_of_both_it_is() -> None:
    batcher = full_slot(Known(0.0, 0.1))
    with pytest.raises(DeadlineExceeded, match="by the deadline"):
        batcher.offer(Waiting("hasty", deadline=0.05), 0.0)
    with pytest.raises(Overloaded, match="late") as refused:
        batcher.offer(Waiting("late", deadline=0.15), 0.0)
    assert refused.value.retry_after_s >= 1
    batcher.offer(Waiting("patient", deadline=0.25), 0.0)


def test_nobody_is_let_in_who_would_make_another_late() -> None:
    batcher = full_slot(Known(0.0, 0.1))
    batcher.offer(Waiting("there", deadline=0.25), 0.0)
    with pytest.raises(Overloaded):
        batcher.offer(Waiting("before it", deadline=0.22), 0.0)
    batcher.offer(Waiting("after it", deadline=0.35), 0.0)


def test_who_comes_to_an_idle_model_is_tried_whatever_is_believed() -> None:
    batcher: Batcher[str] = Batcher(Limits(), 1, Known(10.0, 0.0))
    batcher.offer(Waiting("tried", deadline=0.1), 0.0)
    batch, _ = batcher.take(0.0)
    assert batch is not None and batch.trial
    with pytest.raises(DeadlineExceeded):
        batcher.offer(Waiting("not", deadline=0.1), 0.0)


def test_one_that_is_past_its_deadline_is_refused_by_an_idle_model_too() -> None:
    batcher: Batcher[str] = Batcher(Limits())
    with pytest.raises(DeadlineExceeded):
        batcher.offer(Waiting("gone", deadline=1.0), 1.0)


def test_users_push_probes_out_of_a_full_queue_and_audits_do_not_push_users() -> None:
    batcher = full_slot(Known(0.0, 0.001), Limits(8, 2, 10**6))
    probe, audit, user = (
        Waiting(one.name, claim=Claim(priority=one)) for one in reversed(Priority)
    )
    for one in (audit, probe):
        assert batcher.offer(one, 0.0) == []
    assert [one.waiting for one in batcher.offer(user, 0.0)] == [probe]
    with pytest.raises(Overloaded):
        batcher.offer(probe, 0.0)
    assert [one.waiting for one in batcher.offer(Waiting("more"), 0.0)] == [audit]
    with pytest.raises(Overloaded):
        batcher.offer(audit, 0.0)


def test_what_nobody_waits_for_is_turned_out_unrun() -> None:
    batcher = full_slot(Known(0.0, 0.1))
    gone = Waiting("gone", wanted=lambda: False)
    batcher.offer(gone, 0.0)
    batch, turned = batcher.take(0.05)
    assert batch is None
    assert [one.waiting for one in turned] == [gone]


def test_an_urgent_one_does_not_wait_for_its_turn() -> None:
    batcher = full_slot(Known(0.0, 0.1), Limits(2, 10**6, 10**6))
    for _ in range(4):
        batcher.offer(Waiting("patient", deadline=9.0, claim=Claim("a")), 0.0)
    batcher.offer(Waiting("urgent", deadline=0.35, claim=Claim("a")), 0.0)
    batcher._running.clear()
    batch, _ = batcher.take(0.1)
    assert batch is not None and batch.members[0].work == "urgent"


def waits_s(cost: BatchCost, gap_s: float, slots: int = 1, coming: int = 0) -> float:
    """How long one image waits for company where one came each `gap_s`."""
    batcher: Batcher[str] = Batcher(Limits(), slots, cost)
    at = 0.0
    for _ in range(200):
        at += gap_s
        batcher.offer(Waiting("one"), at)
        batch, _ = batcher.take(at + 1.0)
        assert batch is not None
        batcher.ended(batch, None, at)
    batcher.offer(Waiting("last"), at)
    return batcher.due(at, coming, gap_s) - at


def test_where_batches_do_not_pay_nobody_waits() -> None:
    assert waits_s(Known(0.0, 0.002), 1e-5) == 0.0
    assert waits_s(Known(0.0, 0.002), 1e-5, coming=100) == 0.0
    assert waits_s(Known(0.001, 0.002), 1e-5) == 0.0


def test_where_they_pay_one_waits_while_others_come_often_and_no_longer_than_the_set_up() -> None:
    assert waits_s(Known(0.004, 0.0001), 1e-4) == pytest.approx(0.004)
    assert waits_s(Known(0.004, 0.0001), 0.05) == 0.0
    assert waits_s(Known(0.004, 0.0001), 1e-4, slots=2) == 0.0


def test_where_some_are_known_to_come_it_pays_for_all_of_them() -> None:
    assert waits_s(Known(0.001, 0.002), 0.001, coming=1) == 0.0
    assert waits_s(Known(0.001, 0.002), 0.001, coming=9) == pytest.approx(0.001)


def test_nobody_waits_past_what_a_deadline_allows() -> None:
    batcher: Batcher[str] = Batcher(Limits(), 1, Known(0.004, 0.0001))
    batcher.offer(Waiting("hasty", deadline=0.006), 0.0)
    due = batcher.due(0.0, coming=50, coming_s=0.0001)
    assert 0.0 < due < 0.006 - batcher.cost.expected_s(1)
    batch, _ = batcher.take(due)
    assert batch is not None


def test_a_full_batch_does_not_wait() -> None:
    batcher: Batcher[str] = Batcher(Limits(4), 1, Known(1.0, 0.0001))
    batcher.offer(Waiting("three", 3), 0.0)
    assert batcher.due(0.0, coming=50) > 0.0
    batcher.offer(Waiting("one more"), 0.0)
    assert batcher.due(0.0, coming=50) == 0.0


def test_a_failed_batch_teaches_nothing_and_frees_its_slot() -> None:
    batcher: Batcher[str] = Batcher(Limits())
    batcher.offer(Waiting("one"), 0.0)
    batch, _ = batcher.take(0.0)
    assert batch is not None and not batcher.free
    batcher.ended(batch, None, 5.0)
    assert not batcher.cost.known
    assert batcher.idle
