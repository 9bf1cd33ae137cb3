"""The interval of a ratio of tails."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.bench.modeless.resampling import Floats, ratio_interval


def waits(seed: int, scale: float, count: int = 2000) -> Floats:
    """ms [N], Pareto: its tail varies as those of queues do."""
    return np.asarray(scale * (1 + np.random.default_rng(seed).pareto(3.0, count)))


def test_the_interval_holds_the_ratio_and_narrows_with_more_requests() -> None:
    found = {}
    for count in (400, 6_000):
        ours = [waits(seed, 1.0, count) for seed in (1, 2)]
        theirs = [waits(seed, 3.0, count) for seed in (3, 4)]
        found[count] = ratio_interval(ours, theirs)
        low, high = found[count] or (None, None)
        assert low is not None and high is not None and low < 3.0 < high
    widths = {count: bounds[1] / bounds[0] for count, bounds in found.items()}  # type: ignore
    assert widths[6_000] < 1.6 < widths[400]


def test_it_covers_the_truth_nearly_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(40):
        bounds = ratio_interval([waits(2 * seed, 1.0)], [waits(2 * seed + 1, 2.0)])
        assert bounds is not None and bounds[0] is not None and bounds[1] is not None
        covered += bounds[0] <= 2.0 <= bounds[1]
    assert covered >= 34, "of 40 intervals of 95 %"


def test_where_both_had_the_same_traffic_what_it_does_to_both_falls_out() -> None:
    ours = waits(5, 1.0)
    assert ratio_interval([ours], [2 * ours]) == pytest.approx([2.0, 2.0])


def test_what_never_came_leaves_a_bound_open() -> None:
    ours, theirs = waits(6, 1.0), waits(7, 3.0)
    theirs[100:130] = np.inf
    low, high = ratio_interval([ours], [theirs]) or (None, 0.0)
    assert low is not None and high is None
    never = np.full(2000, np.inf)
    assert ratio_interval([never], [never]) is None


def test_too_few_requests_have_no_interval() -> None:
    assert ratio_interval([waits(8, 1.0, 19)], [waits(9, 1.0, 400)]) is None
    assert ratio_interval([], []) is None
