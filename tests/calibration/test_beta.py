"""The incomplete beta function and its inverse: SciPy's, and closed forms to the last digits."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc, betaincinv

from hawkvision.calibration.beta import incomplete_beta, inverse_incomplete_beta

sides = st.floats(1e-2, 1e5) | st.integers(1, 100_000).map(float)
chances = st.floats(1e-6, 1 - 1e-6)


@settings(deadline=None)
@given(sides, sides, chances)
def test_the_inverse_is_scipys(a: float, b: float, chance: float) -> None:
    """SciPy's own is wrong by 1.2e-12 at (2, 36475, 0.609375), where ours is by 4e-16."""
    found = float(inverse_incomplete_beta(a, b + 1, chance))
    assert found == pytest.approx(float(betaincinv(a, b + 1, chance)), rel=1e-10, abs=1e-290)
    found = float(inverse_incomplete_beta(a + 1, b, chance))
    assert found == pytest.approx(float(betaincinv(a + 1, b, chance)), rel=1e-10, abs=1e-290)


@settings(deadline=None)
@given(st.integers(1, 100_000), chances)
def test_the_inverse_solves_closed_forms_exactly(b: int, chance: float) -> None:
    """I_x(1, b) = 1 - (1-x)^b and I_x(2, b) = 1 - (1-x)^b (1 + b x), in 50 digits."""
    with localcontext() as context:
        context.prec = 50
        for a in (1, 2):
            x = Decimal(float(inverse_incomplete_beta(a, b, chance)))
            rest = (1 - x) ** b * (1 if a == 1 else 1 + b * x)
            slope = (b if a == 1 else b * (b + 1) * x) * (1 - x) ** (b - 1)
            assert abs((1 - rest - Decimal(chance)) / slope) <= Decimal("2e-14") * x


@settings(deadline=None)
@given(st.floats(1e-2, 500), st.floats(0, 500), st.floats(1e-300, 1))
def test_the_function_is_scipys(a: float, b: float, x: float) -> None:
    wanted = float(betainc(a, b + 1, x))
    assert incomplete_beta(a, b + 1, x) == pytest.approx(wanted, rel=1e-10, abs=1e-290)


@settings(deadline=None)
@given(st.floats(1e-9, 1e-2), st.floats(0, 1e5), chances)
def test_next_to_nothing_is_next_to_nothing(a: float, b: float, chance: float) -> None:
    """x is about chance^(1/a): one rounding of the chance is 1/a of them in x."""
    found = float(inverse_incomplete_beta(a, b + 1, chance))
    wanted = float(betaincinv(a, b + 1, chance))
    assert found == pytest.approx(wanted, rel=1e-11 + 1e-14 / a, abs=1e-290)


def test_many_are_inverted_as_each_alone() -> None:
    right = np.arange(1.0, 301.0).reshape(3, 100)
    found = inverse_incomplete_beta(right, 301 - right, 0.05)
    alone = [float(inverse_incomplete_beta(k, 301 - k, 0.05)) for k in right.ravel().tolist()]
    assert found.shape == (3, 100)
    assert found.ravel() == pytest.approx(alone, rel=1e-14)
