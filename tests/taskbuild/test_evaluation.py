"""Rows of an evaluation: shares, exact intervals, percentiles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.calibration.intervals import clopper_pearson
from hawkvision.taskbuild.evaluation import Record, summarise

RIGHT = Record(
    loss=0.0, escalated=False, degraded=False, certified=True, latency_ms=1.0, image_bytes=100
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (8, 10, 0.4439, 0.9748),
        (90, 100, 0.8238, 0.9510),
    ],
)
def test_the_interval_agrees_with_published_tables(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(counts: tuple[int, int]) -> None:
    low, high = clopper_pearson(*counts)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_shares_count_over_answered_requests() -> None:
    wrong = replace(RIGHT, loss=1.0, escalated=True)
    row = summarise(0.9, [RIGHT, RIGHT, RIGHT, wrong], failed=2)
    assert (row.n, row.achieved, row.escalation_rate, row.failed) == (4, 0.75, 0.25, 2)


def test_only_escalated_images_were_sent_up() -> None:
    up = replace(RIGHT, escalated=True, image_bytes=7)
    assert summarise(0.9, [RIGHT, up, up]).edge_bytes_up == 14


def test_one_answer_without_certificate_takes_it_from_the_row() -> None:
    degraded = replace(RIGHT, degraded=True, certified=False)
    assert summarise(0.9, [RIGHT, RIGHT]).certified
    assert not summarise(0.9, [RIGHT, degraded]).certified


def test_percentiles_are_of_the_latency() -> None:
    row = summarise(0.9, [replace(RIGHT, latency_ms=float(ms)) for ms in range(101)])
    assert (row.p50_ms, row.p99_ms) == (50.0, 99.0)


def test_a_row_without_answers_claims_nothing() -> None:
    row = summarise(0.99, []).as_dict()
    assert (row["n"], row["certified"], row["achieved"], row["ci_low"]) == (0, False, None, None)
