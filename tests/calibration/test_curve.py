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
    """Confidence that means what it says, the edge's losses, and those of a rung right at 94 %."""
    confidence = rng.beta(3, 1, n)
    return confidence, (rng.random(n) >= confidence) * 1.0, (rng.random(n) >= 0.94) * 1.0


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
    curve = lower_confidence_curve(confidence, edge, dc, binary=True)
    certified = None
    for threshold in default_grid():
        wrong = np.where(confidence >= threshold, edge, dc).sum()
        if binom.cdf(wrong, n, 1 - target) > 0.05:
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
    curve = lower_confidence_curve(*draw(np.random.default_rng(seed), n), binary=True)
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
        curve = lower_confidence_curve(*draw(rng, n), binary=True, delta=delta)
        try:
            threshold = curve.threshold_for(target)
        except TargetUnreachable:
            continue
        missed += true_accuracy(threshold) < target
    standard_error = (delta * (1 - delta) / draws) ** 0.5
    assert missed / draws <= delta + 2 * standard_error


def test_more_images_cost_less_escalation() -> None:
    rng = np.random.default_rng(5)
    few = lower_confidence_curve(*draw(rng, 250), binary=True)
    many = lower_confidence_curve(*draw(rng, 8000), binary=True)
    assert many.threshold_for(0.85) < few.threshold_for(0.85)


def test_an_unreachable_target_names_one_that_is_reachable() -> None:
    curve = lower_confidence_curve(*draw(np.random.default_rng(0), 500), binary=True)
    with pytest.raises(TargetUnreachable) as caught:
        curve.threshold_for(0.99)
    assert curve.threshold_for(caught.value.highest) <= ESCALATE_ALL


def test_a_perfect_edge_never_escalates() -> None:
    none = np.zeros(200)
    curve = lower_confidence_curve(np.full(200, 0.3), none, none, binary=True)
    assert curve.threshold_for(0.9) == 0.0


@pytest.mark.parametrize("n", [0, 1, 19])
def test_too_few_images_are_refused(n: int) -> None:
    with pytest.raises(CalibrationError, match="too few"):
        lower_confidence_curve(np.zeros(n), np.zeros(n), np.zeros(n), binary=True)


def test_nan_confidences_are_refused() -> None:
    ok = np.zeros(50)
    with pytest.raises(CalibrationError, match="NaN"):
        lower_confidence_curve(np.full(50, np.nan), ok, ok, binary=True)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(CalibrationError, match="unequal"):
        lower_confidence_curve(np.zeros(50), np.zeros(49), np.zeros(50), binary=True)


def graded(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `draw`, with losses between 0 and 1: the edge's are 1 - confidence on average."""
    confidence = rng.beta(3, 1, n)
    edge = np.clip(1 - confidence + rng.uniform(-0.2, 0.2, n) * np.minimum(confidence, 1), 0, 1)
    return confidence, edge, rng.beta(1, 15, n)


def true_graded(threshold: float, images: int = 400_000) -> float:
    """The accuracy of that cascade, by drawing."""
    confidence, edge, dc = graded(np.random.default_rng(99), images)
    return 1 - float(np.where(confidence >= threshold, edge, dc).mean())


@pytest.mark.parametrize("n", [300, 1000])
def test_graded_losses_are_missed_in_at_most_delta_of_the_draws(n: int) -> None:
    draws, delta, target, grid = 200, 0.05, 0.85, default_grid()[::6]
    truth = {float(threshold): true_graded(float(threshold)) for threshold in grid}
    rng = np.random.default_rng(n)
    missed = certified = 0
    for _ in range(draws):
        curve = lower_confidence_curve(*graded(rng, n), binary=False, delta=delta, grid=grid)
        try:
            threshold = curve.threshold_for(target)
        except TargetUnreachable:
            continue
        missed += truth[threshold] < target
        certified += threshold < ESCALATE_ALL
    assert missed / draws <= delta + 2 * (delta * (1 - delta) / draws) ** 0.5
    assert certified > draws / 2


@pytest.mark.parametrize(("loss", "binary"), [(1.5, False), (-0.1, False), (0.5, True)])
def test_losses_that_are_none_are_refused(loss: float, binary: bool) -> None:
    ok = np.zeros(50)
    with pytest.raises(CalibrationError, match="losses"):
        lower_confidence_curve(ok + 0.5, ok, ok + loss, binary=binary)
