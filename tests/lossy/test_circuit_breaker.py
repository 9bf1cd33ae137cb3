"""The circuit breaker of RFC 8083, and pacing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.lossy.circuit_breaker import Interval, RtpCircuitBreaker, tcp_throughput
from hawkvision.lossy.pacing import TokenBucket


def _interval(loss: float = 0.0, rate: float = 1e5, advanced: bool = True) -> Interval:
    return Interval(loss, rate, 1200.0, 0.05, advanced)


def test_tcp_throughput_has_the_values_of_rfc_5348() -> None:
    assert tcp_throughput(1460, 0.1, 0.0) == math.inf
    # s / (R sqrt(2p/3) + t_RTO 3 sqrt(3p/8) p (1 + 32 p^2)), by hand for p = 0.01
    fast, slow = 0.1 * math.sqrt(0.02 / 3), 0.4 * 3 * math.sqrt(0.03 / 8) * 0.01 * 1.0032
    assert tcp_throughput(1460, 0.1, 0.01) == pytest.approx(1460 / (fast + slow))


def test_three_intervals_over_ten_times_tcp_open_it() -> None:
    breaker = RtpCircuitBreaker(1.0)
    rate = 11 * tcp_throughput(1200, 0.05, 0.05)
    for second in range(2):
        breaker.report(_interval(0.05, rate), second)
        assert breaker.reason is None
    breaker.report(_interval(0.05, rate), 2)
    assert breaker.reason == "congestion"


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.1])
def test_a_camera_of_one_megabit_is_left_alone(loss: float) -> None:
    breaker = RtpCircuitBreaker(1.0)
    for second in range(10):
        breaker.report(_interval(loss, 125_000), second)
    assert breaker.reason is None


def test_one_good_interval_keeps_it_closed() -> None:
    breaker = RtpCircuitBreaker(1.0)
    for second in range(9):
        breaker.report(_interval(0.3 if second % 3 else 0.0, 1e7), second)
    assert breaker.reason is None


def test_packets_that_do_not_arrive_open_it() -> None:
    breaker = RtpCircuitBreaker(1.0)
    for second in range(3):
        breaker.report(_interval(advanced=False), second)
    assert breaker.reason == "media_timeout"


def test_reports_that_do_not_come_open_it_only_while_sending() -> None:
    breaker = RtpCircuitBreaker(1.0)
    for second in range(60):
        assert breaker.check(second, sending=False) is None
    assert breaker.check(64, sending=True) is None
    assert breaker.check(65.5, sending=True) == "rtcp_timeout"


@given(st.lists(st.integers(40, 1500), min_size=5, max_size=60), st.floats(1e5, 1e8))
def test_packets_leave_at_the_rate_after_the_burst(sizes: list[int], rate: float) -> None:
    bucket = TokenBucket(rate, burst_bytes=3000)
    now = 0.0
    for size in sizes:
        now += bucket.delay(size, now)
    assert now >= (sum(sizes) - 3000) * 8 / rate - 1e-6
    assert now <= sum(sizes) * 8 / rate + 1e-6
