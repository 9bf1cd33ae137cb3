"""A bound that is shown holds; a target is shown as it was asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.calibration import shown

shares = st.floats(0, 1)
digits = st.integers(1, 6)


@given(shares, digits)
def test_a_lower_bound_is_cut_by_less_than_its_last_digit(bound: float, count: int) -> None:
    text = shown.lower(bound, count)
    assert Decimal(text) <= Decimal(repr(bound)) < Decimal(text) + Decimal(1).scaleb(-count)
    assert float(text) == shown.floored(bound, count) <= bound


@given(st.integers(0, 1000))
def test_a_bound_of_few_digits_is_itself(thousandths: int) -> None:
    assert shown.floored(thousandths / 1000) == thousandths / 1000
    assert shown.floored(thousandths / 10, 1) == thousandths / 10


@given(shares, shares)
def test_an_interval_is_only_widened(one: float, other: float) -> None:
    low, high = sorted((one, other))
    left, right = shown.interval(low, high).split("-")
    assert float(left) <= low <= high <= float(right)
    assert float(right) - float(left) < high - low + 0.0021


@pytest.mark.parametrize(
    ("asked", "text"),
    [(0.9, "0.90"), (0.918, "0.918"), (0.95, "0.95"), (0.9185, "0.9185"), (0.999, "0.999")],
)
def test_a_target_is_shown_as_asked(asked: float, text: str) -> None:
    assert shown.target(asked) == text


def test_a_relative_target_is_its_text() -> None:
    assert shown.target("relative:0.02") == "relative:0.02"


@given(st.integers(1, 10**9 - 1))
def test_a_target_can_be_asked_for_as_it_is_shown(billionths: int) -> None:
    assert float(shown.target(billionths / 10**9)) == billionths / 10**9


@pytest.mark.parametrize(("share", "text"), [(0.9796, "97.9%"), (0.976, "97.6%"), (1.0, "100.0%")])
def test_a_bound_in_percent_is_cut_too(share: float, text: str) -> None:
    assert shown.lower_percent(share) == text
