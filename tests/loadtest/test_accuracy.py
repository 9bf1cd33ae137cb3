"""Counting delivered accuracy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.accuracy import DeliveredAccuracy, spread


def test_answers_are_counted_by_target() -> None:
    delivered = DeliveredAccuracy()
    for index in range(10):
        delivered.add(0.9, correct=index < 9, escalated=index < 2, degraded=index < 1)
    delivered.add(0.8, correct=True, escalated=False, degraded=False)
    low, high = delivered.rows()
    assert (low["target"], low["n"], high["n"]) == (0.8, 1, 10)
    assert (high["achieved"], high["escalation_rate"], high["degraded_rate"]) == (0.9, 0.2, 0.1)
    assert high["ci_low"] < 0.9 < high["ci_high"]


@given(st.floats(0.05, 0.999))
def test_spread_targets_never_exceed_the_highest(highest: float) -> None:
    assert all(0 < target <= highest for target in spread(highest))


def test_counts_of_other_processes_add_up() -> None:
    here, there = DeliveredAccuracy(), DeliveredAccuracy()
    for one in (here, there):
        one.add(0.9, correct=True, escalated=True, degraded=False)
        one.add(0.9, correct=False, escalated=False, degraded=True, in_time=True)
    taken = there.take()
    assert not there.rows() and isinstance(next(iter(taken)), str)
    here.merge(taken)
    here.merge(there.take())
    total = here.of(0.9)
    assert (total.answers, total.correct, total.escalated, total.degraded) == (4, 2, 2, 2)
    assert total.in_time == 2 and here.of(0.8).answers == 0 and here.total() == total
