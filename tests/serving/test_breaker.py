"""The circuit breaker, replayed without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.breaker import BreakerState, UpstreamBreaker


def opened(now: float = 0.0) -> UpstreamBreaker:
    breaker = UpstreamBreaker(failures=3, pause_s=1.0)
    for _ in range(3):
        breaker.failed(now)
    return breaker


def test_single_failures_leave_it_closed() -> None:
    breaker = UpstreamBreaker(failures=3)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.succeeded(0.01)
    assert breaker.allow(0.0)


def test_failures_in_a_row_open_it() -> None:
    assert not opened().allow(0.5)


def test_after_the_pause_one_probe_passes() -> None:
    breaker = opened()
    assert [breaker.allow(1.0), breaker.allow(1.0)] == [True, False]


def test_a_good_probe_closes_it() -> None:
    breaker = opened()
    breaker.allow(1.0)
    breaker.succeeded(0.01)
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_probe_opens_it_for_another_pause() -> None:
    breaker = opened()
    breaker.allow(1.0)
    breaker.failed(1.0)
    assert [breaker.allow(1.9), breaker.allow(2.0)] == [False, True]


def test_a_probe_without_a_verdict_lets_the_next_one_pass() -> None:
    breaker = opened()
    breaker.allow(1.0)
    breaker.no_verdict()
    assert breaker.allow(1.0)


@given(st.lists(st.sampled_from(["allow", "fail", "succeed", "abandon"]), max_size=60))
def test_whatever_happens_it_lets_a_call_pass_again(events: list[str]) -> None:
    breaker = UpstreamBreaker(failures=2, pause_s=1.0)
    now = 0.0
    for event in events:
        now += 0.1
        if event == "allow":
            breaker.allow(now)
        elif event == "fail":
            breaker.failed(now)
        elif event == "succeed":
            breaker.succeeded(0.01)
        else:
            breaker.no_verdict()
    breaker.no_verdict()
    assert breaker.allow(now + 1.5)


def test_only_a_deadline_that_was_fair_counts() -> None:
    breaker = UpstreamBreaker(failures=1)
    for _ in range(50):
        breaker.succeeded(0.2)
    states = []
    for allowed_s in (0.006, 0.5, 1.0):
        breaker.timed_out(allowed_s, 0.0)
        states.append(breaker.state)
    assert states == [BreakerState.CLOSED, BreakerState.CLOSED, BreakerState.OPEN]


def test_what_the_caller_caused_neither_opens_nor_closes_it() -> None:
    breaker = opened()
    breaker.allow(1.0)
    breaker.no_verdict()
    assert breaker.state is BreakerState.OPEN
