"""What a batch costs is learned, and one bad measurement is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.serving.batch_cost import BatchCost


def learned(setup_s: float, each_s: float, sizes: list[int], rounds: int = 40) -> BatchCost:
    cost = BatchCost()
    for _ in range(rounds):
        for size in sizes:
            cost.add(size, setup_s + each_s * size)
    return cost


def test_before_a_batch_ran_nothing_is_known() -> None:
    cost = BatchCost()
    assert not cost.known and cost.expected_s(8) == cost.safe_s(8) == 0.0


def test_a_line_is_found() -> None:
    cost = learned(0.004, 0.001, [1, 2, 4, 8, 16])
    assert cost.setup_s == pytest.approx(0.004, rel=0.1)
    assert cost.each_s == pytest.approx(0.001, rel=0.1)


def test_batches_of_one_size_say_nothing_of_a_set_up() -> None:
    cost = learned(0.004, 0.001, [1])
    assert cost.setup_s == pytest.approx(0.0, abs=1e-9)
    assert cost.expected_s(1) == pytest.approx(0.005)


def test_cost_in_proportion_has_no_set_up() -> None:
    cost = learned(0.0, 0.001, [1, 2, 4, 8])
    assert cost.setup_s == pytest.approx(0.0, abs=1e-9)


def test_one_outlier_moves_the_estimate_little_and_a_new_level_is_learned() -> None:
    cost = learned(0.0, 0.001, [1, 4])
    cost.add(1, 30.0)
    assert cost.expected_s(1) < 0.0011
    for _ in range(200):
        cost.add(1, 0.003)
        cost.add(4, 0.012)
    assert cost.expected_s(4) == pytest.approx(0.012, rel=0.1)


@given(
    st.lists(st.tuples(st.integers(1, 64), st.floats(1e-6, 10.0)), min_size=1),
    st.integers(1, 64),
)
def test_costs_are_never_negative_and_more_images_never_cost_less(
    batches: list[tuple[int, float]], size: int
) -> None:
    cost = BatchCost()
    for images, took_s in batches:
        cost.add(images, took_s)
    assert cost.setup_s >= 0 and cost.each_s >= 0 and cost.deviation_s >= 0
    assert 0 <= cost.expected_s(size) <= cost.expected_s(size + 1) <= cost.safe_s(size + 1)
