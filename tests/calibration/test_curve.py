"""The threshold for a target: equal to fixed-sequence testing, and valid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from hawkvision.calibration import ESCALATE_ALL, default_grid, lower_confidence_curve
from hawkvision.errors import CalibrationError, TargetUnreachable


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A cascade whose confidence means what it says, and a large rung that is right at 94 %."""
    confidence = rng.beta(3, 1, n)
    return confidence, rng.random(n) < confidence, rng.random(n) < 0.94


def true_accuracy(threshold: float) -> float:
    """Of that cascade: E[conf; conf >= t] + 0.94 P(conf < t), for Beta(3, 1)."""
    t = min(threshold, 1.0)
    return 0.75 * (1 - t**4) + 0.94 * t**3


@given(st.integers(0, 10_000), st.integers(20, 400), st.floats(0.5, 0.95))
@settings(deadline=None)
def test_the_threshold_is_where_fixed_sequence_testing_stops(
    seed: int, n: int, target: float
) -> None:
    confidence, edge, dc = draw(np.random.default_rng(seed), n)
    curve = lower_confidence_curve(confidence, edge, dc)
    certified = None
    for threshold in default_grid():
        right = np.where(confidence >= threshold, edge, dc).sum()
        if binom.cdf(n - right, n, 1 - target) > 0.05:
            break
        certified = threshold
    if certified is None:
        with pytest.raises(TargetUnreachable):
            curve.threshold_for(target)
    else:
        assert curve.threshold_for(target) == certified


@given(st.integers(0, 10_000), st.integers(20, 400))
@settings(deadline=None)
def test_a_higher_target_never_gets_a_lower_threshold(seed: int, n: int) -> None:
    curve = lower_confidence_curve(*draw(np.random.default_rng(seed), n))
    targets = np.linspace(0.01, curve.highest_certifiable, 50)
    thresholds = [curve.threshold_for(float(target)) for target in targets]
    assert thresholds == sorted(thresholds)
    assert (np.diff(curve.lower_bound) <= 0).all()
    assert (np.diff(curve.escalation_rate) <= 0).all()


@pytest.mark.parametrize("n", [250, 500, 1000])
def test_a_certified_target_is_missed_in_at_most_delta_of_the_draws(n: int) -> None:
    draws, delta, target = 600, 0.05, 0.85
    rng = np.random.default_rng(n)
    missed = 0
    for _ in range(draws):
        curve = lower_confidence_curve(*draw(rng, n), delta=delta)
        try:
            threshold = curve.threshold_for(target)
        except TargetUnreachable:
            continue
        missed += true_accuracy(threshold) < target
    standard_error = (delta * (1 - delta) / draws) ** 0.5
    assert missed / draws <= delta + 2 * standard_error


def test_more_images_cost_less_escalation() -> None:
    rng = np.random.default_rng(5)
    few = lower_confidence_curve(*draw(rng, 250))
    many = lower_confidence_curve(*draw(rng, 8000))
    assert many.threshold_for(0.85) < few.threshold_for(0.85)


def test_an_unreachable_target_names_one_that_is_reachable() -> None:
    curve = lower_confidence_curve(*draw(np.random.default_rng(0), 500))
    with pytest.raises(TargetUnreachable) as caught:
        curve.threshold_for(0.99)
    assert curve.threshold_for(caught.value.highest) <= ESCALATE_ALL


def test_a_perfect_edge_never_escalates() -> None:
    right = np.ones(200, bool)
    curve = lower_confidence_curve(np.full(200, 0.3), right, right)
    assert curve.threshold_for(0.9) == 0.0


@pytest.mark.parametrize("n", [0, 1, 19])
def test_too_few_images_are_refused(n: int) -> None:
    with pytest.raises(CalibrationError, match="too few"):
        lower_confidence_curve(np.zeros(n), np.zeros(n, bool), np.zeros(n, bool))


def test_nan_confidences_are_refused() -> None:
    ok = np.ones(50, bool)
    with pytest.raises(CalibrationError, match="NaN"):
        lower_confidence_curve(np.full(50, np.nan), ok, ok)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(CalibrationError, match="unequal"):
        lower_confidence_curve(np.zeros(50), np.ones(49, bool), np.ones(50, bool))
