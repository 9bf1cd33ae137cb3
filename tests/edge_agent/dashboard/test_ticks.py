from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.dashboard.ticks import MIDDLE_ERROR, Tick, bucket_of, quantile_ms, times_of

seconds = st.floats(1e-6, 100.0)
counts = st.integers(0, 10**6)
ticks = st.builds(
    Tick,
    counts,
    counts,
    counts,
    counts,
    counts,
    counts,
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.dictionaries(st.integers(0, 400), st.integers(1, 1000), max_size=20),
)


@given(st.lists(seconds, min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_that_of_the_times_themselves_to_three_percent(
    times: list[float], share: float
) -> None:
    exact = sorted(times)[max(1, math.ceil(share * len(times))) - 1] * 1e3
    found = quantile_ms(times_of(times), share)
    assert found is not None
    assert abs(found / exact - 1) <= MIDDLE_ERROR + 0.006  # shown to three digits


@given(seconds, seconds)
def test_a_longer_time_is_in_no_lower_bucket(one: float, other: float) -> None:
    assert (one <= other) <= (bucket_of(one) <= bucket_of(other))


def test_nothing_answered_has_no_quantile() -> None:
    assert quantile_ms({}, 0.99) is None


def test_no_time_at_all_has_a_bucket() -> None:
    assert bucket_of(0.0) == bucket_of(-1.0) == 0


@given(ticks, ticks)
def test_what_two_processes_did_adds_up(one: Tick, other: Tick) -> None:
    both = one + other
    assert both.answers == one.answers + other.answers
    assert sum(both.times.values()) == sum(one.times.values()) + sum(other.times.values())


@given(ticks)
def test_a_tick_goes_between_processes_and_comes_back(tick: Tick) -> None:
    assert Tick.of_list(tick.as_list()) == tick


def test_a_point_says_shares_and_rates() -> None:
    tick = Tick(answers=20, escalated=5, degraded=1, refused=2, packets=90, lost=10)
    point = tick.point(2)
    assert (point.rate, point.refused) == (10.0, 1.0)
    assert (point.escalated, point.degraded, point.lost) == (0.25, 0.05, 0.1)


def test_a_point_without_answers_makes_no_share_of_them() -> None:
    point = Tick(refused=3).point(1)
    assert (point.escalated, point.degraded, point.lost, point.watts) == (None, None, None, None)


def test_power_is_that_of_the_seconds_in_which_it_was_measured() -> None:
    both = Tick(joules=12.0, powered_s=1.0) + Tick() + Tick(joules=14.0, powered_s=1.0)
    assert both.point(3).watts == 13.0
