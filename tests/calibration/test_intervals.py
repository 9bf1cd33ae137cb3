"""Intervals that hold what they say, whatever they are asked of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from hawkvision.calibration.intervals import (
    accuracy_interval,
    clopper_pearson,
    clopper_pearson_lower,
)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_they_are_scipy_s_exact_ones(counts: tuple[int, int]) -> None:
    successes, trials = counts
    wanted = binomtest(successes, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(successes, trials) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    one_sided = binomtest(successes, trials, alternative="greater").proportion_ci(0.95, "exact")
    found = clopper_pearson_lower(np.array([successes]), trials, 0.05)
    assert float(found[0]) == pytest.approx(one_sided.low, abs=1e-9)


@given(st.floats(0, 50), st.floats(0, 50))
def test_fractions_of_samples_interpolate(right: float, wrong: float) -> None:
    low, high = clopper_pearson(right, right + wrong)
    share = right / (right + wrong) if right + wrong > 1e-6 else 0.5
    assert 0 <= low <= share + 1e-6 and share - 1e-6 <= high <= 1


def test_without_samples_nothing_is_known() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("binary", [True, False])
def test_the_accuracy_of_losses_lies_within(binary: bool) -> None:
    held, rng = 0, np.random.default_rng(4)
    for _ in range(200):
        losses = (rng.random(300) < 0.1) * 1.0 if binary else rng.beta(1, 9, 300)
        low, high = accuracy_interval(losses, binary=binary)
        held += low <= 0.9 <= high
        assert high - low < 0.15
    assert held >= 188
