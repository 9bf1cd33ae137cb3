"""Objectives: how they are read, and when they are broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import InvalidRequest
from loadtest.accuracy import DeliveredAccuracy
from loadtest.slo import Measured, judge, parse_slos


def run(right: int = 880, of: int = 1000, failures: int = 1) -> Measured:
    delivered = DeliveredAccuracy()
    for number in range(of):
        delivered.add(
            0.9,
            correct=number < right,
            escalated=number < of // 10,
            degraded=number < of // 50,
            in_time=number % 2 == 0,
        )
    times = {(0.99, None): 180.0, (0.99, 0.9): 190.0, (0.5, None): 20.0}
    return Measured(
        delivered, of + failures, failures, 10.0, lambda share, at: times.get((share, at))
    )


@pytest.mark.parametrize(
    ("text", "holds", "said"),
    [
        ("p99<200ms", True, "180 ms"),
        ("p99<0.1s", False, "180 ms"),
        ("p99@0.9<185", False, "190 ms"),
        ("p99@0.8<185", False, "no requests"),
        ("accuracy@0.90>=0.898", True, "0.880 (0.858-0.900) at 0.90"),
        ("accuracy@0.90>=91%", False, "0.880"),
        ("accuracy>=target", False, "0.880"),
        ("accuracy@0.90>=0.85,", True, "0.880"),
        ("accuracy@0.95>=target", False, "no answers at 0.95"),
        ("accuracy<0.85", False, "0.880"),
        ("failures<0.1%", True, "0.10% of 1001"),
        ("failures<0.0009", False, "0.10%"),
        ("degraded<1%", False, "2.00% of 1000"),
        ("escalated@0.9<=10%", True, "10.00% of 1000"),
        ("goodput>=44", True, "44.0 per second"),
        ("rate>101", False, "100.1 per second"),
    ],
)
def test_an_objective_is_judged(text: str, holds: bool, said: str) -> None:
    (slo,) = parse_slos(text)
    verdict = judge(slo, run())
    assert verdict.holds is holds, verdict
    assert said in verdict.measured
    assert ("held" in str(verdict)) is holds


@pytest.mark.parametrize(
    "text",
    ["p99", "p99<", "p101<1ms", "p99<5%", "speed<3", "accuracy@1.2>=0.9", "accuracy>=0.9ms",
     "failures@0.9<1%", "goodput>5ms", "p99>target", "p99=<200ms", "p99<200ms;", "rate@0.9>1"],
)  # fmt: skip
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no objective"):
        parse_slos(text)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        slos = parse_slos(text)
    except InvalidRequest:
        return
    assert all(judge(slo, run()).measured for slo in slos)


def test_nothing_measured_holds_nothing() -> None:
    empty = Measured(DeliveredAccuracy(), 0, 0, 0.0, lambda share, at: None)
    slos = parse_slos("p99<1s,accuracy>=target,failures<1%,degraded<1%,goodput>0")
    assert not any(judge(slo, empty).holds for slo in slos)
