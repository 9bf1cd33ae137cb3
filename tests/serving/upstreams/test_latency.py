"""Whether a call is worth sending, learned from what calls took."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.upstreams.hedging import Hedging
from hawkvision.serving.upstreams.latency import LatencySettings, LatencyTracker

SECONDS = st.floats(0.001, 10.0)


def known(*took_s: float) -> LatencyTracker:
    latency = LatencyTracker()
    for seconds in took_s:
        latency.answered(seconds, 0.0)
    return latency


def test_while_little_is_known_every_call_is_worth_it() -> None:
    assert known(1.0, 1.0).needs_s(0.0) == 0.0


def test_what_nearly_all_calls_took_longer_than_is_not() -> None:
    needs_s = known(*[0.1] * 16).needs_s(0.0)
    assert 0.05 < needs_s <= 0.1


def test_calls_given_up_say_that_it_takes_longer_whatever_it_took_before() -> None:
    latency = known(*[0.02] * 16)
    for _ in range(3):
        latency.late(0.3, 0.0)
    assert latency.needs_s(0.0) > 0.3


def test_who_allows_less_than_others_needed_learns_nothing() -> None:
    latency = known(*[0.1] * 16)
    for _ in range(100):
        latency.late(0.05, 0.0)
    assert latency.needs_s(0.0) == 0.1


def test_a_fair_time_is_some_times_the_usual_and_never_a_short_one() -> None:
    assert LatencyTracker().fair_s == known(*[0.001] * 16).fair_s == 0.25
    assert 0.5 < known(*[0.2] * 16).fair_s < 1.0


def test_it_heals_once_a_few_calls_are_quick_again() -> None:
    latency = known(*[0.02] * 16)
    now, sent = 0.0, 0
    for _ in range(20):
        latency.late(0.3, now)
    while latency.needs_s(now) > 0.3:
        now += 0.01
        if latency.explores(now):
            sent += 1
            latency.answered(0.02, now)
    assert sent < 10
    assert now < 1.0


def test_an_upstream_that_stays_slow_is_seldom_explored() -> None:
    latency = known(*[0.5] * 16)
    explored = [latency.explores(step * 0.01) for step in range(300)]
    assert 5 <= sum(explored) <= 7


def test_what_was_long_ago_is_forgotten() -> None:
    latency = known(*[0.5] * 16)
    assert latency.needs_s(31.0) == 0.0


@given(st.lists(st.tuples(st.booleans(), SECONDS), max_size=80), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_are_ordered_and_within_what_was_seen(
    calls: list[tuple[bool, float]], low: float, high: float
) -> None:
    latency = LatencyTracker(LatencySettings(least=1))
    for answered, seconds in calls:
        if answered:
            latency.answered(seconds, 0.0)
        else:
            latency.late(seconds, 0.0)
    first, second = (latency.quantile_s(one, 0.0) for one in sorted((low, high)))
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert first <= second <= 2 * max(seconds for _, seconds in calls)


def test_a_second_call_waits_until_the_first_may_hang_unless_told_otherwise() -> None:
    latency = known(*[0.1] * 16)
    assert Hedging().patience_s(latency, 0.0) >= 0.25
    assert Hedging(after_s=0.05).patience_s(latency, 0.0) == 0.05
    assert Hedging(quantile=0.95).patience_s(latency, 0.0) == 0.1
    assert Hedging(quantile=0.95).patience_s(LatencyTracker(), 0.0) == 0.25
