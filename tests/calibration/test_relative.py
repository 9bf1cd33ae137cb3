"""Targets relative to the large rung: equal to testing one by one, valid, always in reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.calibration import ESCALATE_ALL, default_grid, relative_curve
from hawkvision.calibration.betting import betting_upper_bound
from hawkvision.errors import CalibrationError
from tests.calibration.test_curve import draw, true_accuracy

COARSE = default_grid()[::6]


def capital(x: np.ndarray, mean: float, delta: float) -> float:
    """The best log capital of the bet, image by image, as the paper writes it."""
    n, best, log_capital = len(x), 0.0, 0.0
    for index in range(n):
        seen = x[:index]
        means = (0.5 + np.cumsum(seen)) / (np.arange(1, index + 1) + 1)
        variance = (0.01 + ((seen - means) ** 2).sum()) / (index + 1) if index else 0.01
        stake = min(np.sqrt(2 * np.log(1 / delta) / (n * variance)), 0.9 / mean)
        log_capital += np.log1p(stake * (x[index] - mean))
        best = max(best, log_capital)
    return best


@given(st.integers(0, 10_000), st.integers(5, 60), st.floats(0.02, 0.2))
@settings(deadline=None, max_examples=40)
def test_the_bound_is_where_the_bet_stops_winning(seed: int, n: int, delta: float) -> None:
    differences = np.random.default_rng(seed).choice([-1, 0, 0, 0, 1], n)
    bound = float(betting_upper_bound(differences[None], delta)[0])
    x = (1 - differences) / 2
    at, beyond = (1 - bound) / 2, (1 - bound) / 2 + 2e-4
    if at > 1e-3:
        assert capital(x, at, delta) >= np.log(1 / delta)
    assert capital(x, beyond, delta) < np.log(1 / delta)


@pytest.mark.parametrize("n", [250, 500, 1000])
def test_a_relative_target_is_missed_in_at_most_delta_of_the_draws(n: int) -> None:
    draws, delta, epsilon = 500, 0.05, 0.03
    rng = np.random.default_rng(n)
    missed = certified = 0
    for _ in range(draws):
        threshold = relative_curve(*draw(rng, n), delta=delta, grid=COARSE).threshold_for(epsilon)
        missed += 0.94 - true_accuracy(threshold) > epsilon
        certified += threshold < ESCALATE_ALL
    assert missed / draws <= delta + 2 * (delta * (1 - delta) / draws) ** 0.5
    assert certified > draws / 2


@given(st.integers(0, 10_000), st.integers(20, 300))
@settings(deadline=None, max_examples=30)
def test_a_wider_margin_never_gets_a_higher_threshold(seed: int, n: int) -> None:
    curve = relative_curve(*draw(np.random.default_rng(seed), n), grid=COARSE)
    thresholds = [curve.threshold_for(epsilon) for epsilon in np.linspace(0, 1, 40)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] <= ESCALATE_ALL


def test_it_certifies_where_the_absolute_test_cannot() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(500)
    dc = rng.random(500) < 0.95
    edge = dc & (confidence > 0.5) | (rng.random(500) < 0.3) & (confidence <= 0.5)
    curve = relative_curve(confidence, (~edge).astype(float), (~dc).astype(float))
    assert curve.threshold_for(0.02) < 0.6  # 0.93 absolute needs 0.95 observed and luck


def test_unusable_input_is_refused() -> None:
    ok = np.zeros(50)
    with pytest.raises(CalibrationError, match="NaN"):
        relative_curve(np.full(50, np.nan), ok, ok)
    with pytest.raises(CalibrationError, match="number"):
        relative_curve(np.zeros(49), ok, ok)
    with pytest.raises(CalibrationError, match="delta"):
        relative_curve(np.zeros(50), ok, ok, delta=0)
