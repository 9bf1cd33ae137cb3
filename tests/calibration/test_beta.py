"""The incomplete beta function and its inverse agree with SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, betaincinv

from hawkvision.calibration.beta import incomplete_beta, inverse_incomplete_beta

sides = st.floats(1e-2, 1e6) | st.integers(1, 1_000_000).map(float)
chances = st.floats(1e-6, 1 - 1e-6)


@given(sides, sides, chances)
def test_the_inverse_is_scipys(a: float, b: float, chance: float) -> None:
    found = float(inverse_incomplete_beta(a, b + 1, chance))
    assert found == pytest.approx(float(betaincinv(a, b + 1, chance)), rel=1e-12, abs=1e-290)
    found = float(inverse_incomplete_beta(a + 1, b, chance))
    assert found == pytest.approx(float(betaincinv(a + 1, b, chance)), rel=1e-12, abs=1e-290)


@given(st.floats(1e-2, 500), st.floats(0, 500), st.floats(1e-300, 1))
def test_the_function_is_scipys(a: float, b: float, x: float) -> None:
    wanted = float(betainc(a, b + 1, x))
    assert incomplete_beta(a, b + 1, x) == pytest.approx(wanted, rel=1e-12, abs=1e-290)


@given(st.floats(1e-9, 1e-2), st.floats(0, 1e5), chances)
def test_next_to_nothing_is_next_to_nothing(a: float, b: float, chance: float) -> None:
    found = float(inverse_incomplete_beta(a, b + 1, chance))
    assert found == pytest.approx(float(betaincinv(a, b + 1, chance)), rel=1e-10, abs=1e-290)


def test_many_are_inverted_as_each_alone() -> None:
    right = np.arange(1.0, 301.0).reshape(3, 100)
    found = inverse_incomplete_beta(right, 301 - right, 0.05)
    alone = [float(inverse_incomplete_beta(k, 301 - k, 0.05)) for k in right.ravel().tolist()]
    assert found.shape == (3, 100)
    assert found.ravel() == pytest.approx(alone, rel=1e-14)
