"""Where a chain is cut, by cost alone."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hawkvision.cascade.cut import (
    LOCAL_SHARE,
    RungCost,
    best_cut,
    expected_ms,
    fitting,
    slowest_ms,
)

ms = st.floats(0.01, 500)
rung = st.tuples(ms, ms, st.floats(0, 1))


@st.composite
def chains(draw: st.DrawFn) -> list[RungCost]:
    """Rungs that ever fewer images reach."""
    costs, reached = [], 1.0
    for edge_ms, dc_ms, handed_on in draw(st.lists(rung, min_size=2, max_size=5)):
        costs.append(RungCost(edge_ms, dc_ms, 1.0, reached))
        reached *= handed_on
    return costs


links = st.floats(0, 2000) | st.none()
deadlines = st.floats(1, 3000)
FAST = [RungCost(0.2, 0.2, 14, 1.0), RungCost(1.5, 1.5, 20, 0.4), RungCost(5.5, 5.5, 38, 0.2)]


@given(chains(), links, deadlines, st.integers(1, 6))
def test_a_cut_keeps_within_what_it_may(
    costs: list[RungCost], link: float | None, deadline: float, most: int
) -> None:
    held = best_cut(costs, most=most, link_ms=link, deadline_ms=deadline)
    assert 1 <= held <= min(most, len(costs))
    here = sum(cost.edge_ms for cost in costs[:held])
    assert held == 1 or here <= LOCAL_SHARE * deadline * (1 + 1e-9)


@given(chains(), links, deadlines, st.integers(1, 6))
def test_no_other_cut_in_time_is_faster(
    costs: list[RungCost], link: float | None, deadline: float, most: int
) -> None:
    held = best_cut(costs, most=most, link_ms=link, deadline_ms=deadline)
    way = math.inf if link is None else link
    if slowest_ms(costs, held, way) > deadline:
        return
    for other in range(1, min(most, len(costs)) + 1):
        here = sum(cost.edge_ms for cost in costs[:other])
        if slowest_ms(costs, other, way) <= deadline and here <= LOCAL_SHARE * deadline:
            assert expected_ms(costs, held, way) <= expected_ms(costs, other, way)


@given(chains(), links, deadlines)
def test_more_room_never_means_fewer_rungs(
    costs: list[RungCost], link: float | None, deadline: float
) -> None:
    cuts = [
        best_cut(costs, most=most, link_ms=link, deadline_ms=deadline)
        for most in range(1, len(costs) + 1)
    ]
    assert cuts == sorted(cuts)


@given(chains(), st.lists(st.floats(0, 2000), min_size=2, max_size=2), deadlines)
def test_a_longer_way_never_means_fewer_rungs(
    costs: list[RungCost], ways: list[float], deadline: float
) -> None:
    """Where both sides compute alike: a slow edge may miss the deadline that a fast center keeps"""
    alike = [replace(cost, dc_ms=cost.edge_ms) for cost in costs]
    short, long = (
        best_cut(alike, most=len(costs), link_ms=way, deadline_ms=deadline) for way in sorted(ways)
    )
    assert short <= long or math.isclose(
        expected_ms(alike, short, min(ways)), expected_ms(alike, long, min(ways)), rel_tol=1e-9
    )


def test_a_slow_edge_next_to_its_data_center_holds_one_rung() -> None:
    slow = [replace(cost, edge_ms=20 * cost.dc_ms) for cost in FAST]
    assert best_cut(slow, most=3, link_ms=0.5, deadline_ms=1000) == 1


def test_far_from_the_data_center_all_that_may_is_held() -> None:
    assert best_cut(FAST, most=3, link_ms=100, deadline_ms=1000) == 3
    assert best_cut(FAST, most=2, link_ms=100, deadline_ms=1000) == 2


def test_without_a_link_all_that_the_deadline_allows_is_held() -> None:
    assert best_cut(FAST, most=3, link_ms=None, deadline_ms=1000) == 3
    assert best_cut(FAST, most=3, link_ms=None, deadline_ms=5) == 2


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6), st.floats(0, 400))
def test_the_first_rungs_that_fit_are_held(memory: list[float], budget: float) -> None:
    held = fitting(memory, budget)
    assert held == 1 or sum(memory[:held]) <= budget
    assert held == len(memory) or sum(memory[: held + 1]) > budget
