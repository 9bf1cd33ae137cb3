"""Queues bounded by time: late answers are not begun, and refusals say when to come again."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.errors import Overloaded
from hawkvision.serving.admission import Admission

DEADLINE_S = 1.0


def overload(load: float, service_s: list[float], threads: int, seconds: float) -> dict[str, float]:
    """Poisson arrivals at `load` times the capacity, on a virtual clock.

    Shares and times of those that were admitted; work past its deadline is dropped at the head, as
    the pool does.
    """
    rng = random.Random(7)
    mean = sum(service_s) / len(service_s)
    rate = load * threads / mean
    admission = Admission(threads, 100_000)
    queue: list[float] = []
    running: list[tuple[float, float, float]] = []
    answered: list[float] = []
    now, in_time, refused, offered = 0.0, 0, 0, 0
    while now < seconds:
        now += rng.expovariate(rate)
        while running and running[0][0] <= now:
            done, took, arrived = heapq.heappop(running)
            admission.ended(1, took)
            answered.append(done - arrived)
            in_time += done - arrived <= DEADLINE_S
            while queue and len(running) < threads:
                arrived = queue.pop(0)
                admission.started(1)
                if done - arrived > DEADLINE_S:
                    admission.ended(1, None)
                    continue
                took = rng.choice(service_s)
                heapq.heappush(running, (done + took, took, arrived))
        offered += 1
        try:
            admission.check(1, DEADLINE_S)
        except Overloaded:
            refused += 1
            continue
        admission.entered(1)
        if admission.idle or len(running) < threads:
            admission.started(1)
            took = rng.choice(service_s)
            heapq.heappush(running, (now + took, took, now))
        else:
            queue.append(now)
    answered.sort()
    return {
        "p99": answered[int(len(answered) * 0.99)],
        "goodput": in_time * mean / (threads * seconds),
        "refused": refused / offered,
    }


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize(
    "service_s", [[0.01], [0.005] * 9 + [0.2], [0.1], [0.002, 0.004, 0.05]], ids=str
)
def test_at_five_times_the_capacity_those_admitted_are_answered_in_time(
    service_s: list[float], threads: int
) -> None:
    found = overload(5.0, service_s, threads, 300.0)
    assert found["p99"] <= 1.2 * DEADLINE_S
    assert found["goodput"] >= 0.85
    assert found["refused"] > 0.6


def test_below_the_capacity_nobody_is_refused() -> None:
    assert overload(0.7, [0.01], 2, 200.0)["refused"] == 0


def test_before_anything_is_known_only_the_number_counts() -> None:
    admission = Admission(1, 2)
    for _ in range(3):
        admission.check(1, 0.001)
        admission.entered(1)
        if admission.pending == 1:
            admission.started(1)
    with pytest.raises(Overloaded, match="2 images wait"):
        admission.check(1, 1000)


def test_when_to_come_again_follows_the_load() -> None:
    after = []
    for waiting in (2, 20, 200):
        admission = Admission(1, 1000)
        admission.entered(1)
        admission.started(1)
        admission.ended(1, 0.5)
        admission.entered(waiting + 1)
        admission.started(1)
        with pytest.raises(Overloaded) as caught:
            admission.check(1, 0.1)
        after.append(caught.value.retry_after_s)
    assert after == [2, 11, 60]


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0.001, 10)), max_size=50))
@settings(deadline=None)
def test_what_came_in_goes_out(jobs: list[tuple[int, float]]) -> None:
    admission = Admission(2, 10_000)
    for items, _ in jobs:
        admission.entered(items)
    for items, busy in jobs:
        admission.started(items)
        admission.ended(items, busy)
    assert admission.pending == admission.waiting == 0
    assert admission.idle and admission.wait_s == 0


def test_what_left_its_thread_for_a_batch_is_still_before_the_next() -> None:
    admission = Admission(1, 8)
    admission.entered(1)
    admission.started(1)
    admission.batch_ended(4, 0.4)
    assert admission.service_s == pytest.approx(0.1)
    admission.away += 3
    assert admission.wait_s == pytest.approx(0.35)  # three, and the half of the one at work
    assert admission.rest_s == pytest.approx(0.35)


def test_a_batch_teaches_as_much_as_its_images_would_one_by_one() -> None:
    together, single = Admission(1, 8), Admission(1, 8)
    for admission in (together, single):
        admission.batch_ended(1, 1.0)
    together.batch_ended(3, 6.0)
    for _ in range(3):
        single.batch_ended(1, 2.0)
    assert together.service_s == pytest.approx(single.service_s)
