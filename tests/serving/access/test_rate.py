"""A bucket lets through its burst, then its rate, whatever the arrivals are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.access.rate import Rate


def passed(rate: Rate, arrivals: list[float]) -> list[float]:
    full_at, through = 0.0, []
    for now in arrivals:
        full_at, wait_s = rate.take(full_at, now)
        if wait_s == 0:
            through.append(now)
    return through


def test_a_burst_passes_and_then_one_for_each_interval() -> None:
    rate = Rate(10.0, 5.0)
    at_once = passed(rate, [100.0] * 20)
    assert len(at_once) == 5
    steady = passed(rate, [100.0 + index / 100 for index in range(1000)])
    assert 5 + 99 <= len(steady) <= 5 + 100


def test_the_wait_is_when_the_next_one_passes() -> None:
    rate = Rate(2.0, 1.0)
    full_at, _ = rate.take(0.0, 50.0)
    _, wait_s = rate.take(full_at, 50.1)
    assert abs(wait_s - 0.4) < 1e-9
    assert rate.take(full_at, 50.1 + wait_s + 1e-9)[1] == 0


@given(
    st.floats(0.01, 1000),
    st.floats(1, 50),
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_no_arrivals_get_more_than_burst_and_rate(
    per_s: float, burst: float, gaps: list[float]
) -> None:
    now, arrivals = 1000.0, []
    for gap in gaps:
        now += gap
        arrivals.append(now)
    through = passed(Rate(per_s, burst), arrivals)
    assert through[0] == arrivals[0]
    for first in range(len(through)):
        for last in range(first, len(through)):
            span = through[last] - through[first]
            assert last - first + 1 <= burst + per_s * span + 1e-6
