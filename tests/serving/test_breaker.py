"""The circuit breaker, replayed without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.breaker import BreakerState, CircuitBreaker


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(failures=3, pause_s=1.0)
    for _ in range(3):
        breaker.failed(now)
    return breaker


def test_single_failures_leave_it_closed() -> None:
    breaker = CircuitBreaker(failures=3)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.allow(0.0)


def test_failures_in_a_row_open_it() -> None:
    assert not opened().allow(0.5)


def test_after_the_pause_one_probe_passes() -> None:
    breaker = opened()
    assert [breaker.allow(1.0), breaker.allow(1.0)] == [True, False]


def test_a_good_probe_closes_it() -> None:
    breaker = opened()
    breaker.allow(1.0)
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_probe_opens_it_for_another_pause() -> None:
    breaker = opened()
    breaker.allow(1.0)
    breaker.failed(1.0)
    assert [breaker.allow(1.9), breaker.allow(2.0)] == [False, True]


def test_an_abandoned_probe_lets_the_next_one_pass() -> None:
    breaker = opened()
    breaker.allow(1.0)
    breaker.abandoned()
    assert breaker.allow(1.0)


@given(st.lists(st.sampled_from(["allow", "fail", "succeed", "abandon"]), max_size=60))
def test_whatever_happens_it_lets_a_call_pass_again(events: list[str]) -> None:
    breaker = CircuitBreaker(failures=2, pause_s=1.0)
    now = 0.0
    for event in events:
        now += 0.1
        if event == "allow":
            breaker.allow(now)
        elif event == "fail":
            breaker.failed(now)
        elif event == "succeed":
            breaker.succeeded()
        else:
            breaker.abandoned()
    breaker.abandoned()
    assert breaker.allow(now + 1.5)
