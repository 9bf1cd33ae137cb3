"""Which chain is chosen out of candidates, from answers and costs alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.errors import CalibrationError
from hawkvision.planning.chains import (
    MOST_CANDIDATES,
    Candidate,
    Certifying,
    Ranking,
    Wanted,
    rank,
)

IMAGES = 300
CERTIFYING = Certifying(600, 0.05)


def candidate(
    name: str, ms: float, mb: float, accuracy: float, sure: float = 0.95, seed: int = 1
) -> Candidate:
    """Right on the easier images, by a difficulty that all share; as sure as that.

    Of those that it gets wrong, a share `sure` has less confidence than all that it gets right.
    """
    difficulty = np.random.default_rng(0).permutation(IMAGES) / IMAGES
    wrong = difficulty >= accuracy
    noise = np.random.default_rng(seed).random(IMAGES)
    confidence = np.where(wrong & (noise < sure), 0.3, 0.95) - 0.2 * difficulty
    return Candidate(name, ms, mb, wrong.astype(np.float32), confidence.astype(np.float32))


TINY = candidate("tiny", 1.0, 10.0, 0.7)
SMALL = candidate("small", 2.0, 20.0, 0.88)
MIDDLE = candidate("middle", 8.0, 40.0, 0.93)
LARGE = candidate("large", 20.0, 80.0, 0.97)
ALL = (TINY, SMALL, MIDDLE, LARGE)


def ranked(link_ms: float = 20.0, memory_mb: float | None = None) -> Ranking:
    return rank(ALL, Wanted((0.8, 0.9), memory_mb, link_ms), CERTIFYING)


candidates = st.lists(
    st.builds(
        candidate,
        st.just(""),
        st.sampled_from([1.0, 2.0, 4.0, 9.0]),
        st.sampled_from([5.0, 10.0, 30.0, 90.0]),
        st.sampled_from([0.6, 0.8, 0.85, 0.9, 0.95, 0.99]),
        st.sampled_from([0.5, 0.9, 1.0]),
        st.integers(0, 5),
    ),
    min_size=2,
    max_size=4,
).map(lambda found: [replace(one, name=f"m{place}") for place, one in enumerate(found)])
wanted = st.builds(
    Wanted,
    st.lists(st.sampled_from([0.7, 0.8, 0.9, 0.95]), min_size=1, max_size=3).map(tuple),
    st.sampled_from([None, 8.0, 40.0, 200.0]),
    st.sampled_from([0.0, 5.0, 50.0]),
    st.sampled_from([5.0, 1000.0]),
)


def found(given: Sequence[Candidate], what: Wanted) -> Ranking | None:
    try:
        return rank(given, what, CERTIFYING)
    except CalibrationError:
        return None


@settings(max_examples=25)
@given(candidates, wanted, st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(
    made: list[Candidate], what: Wanted, random: Random
) -> None:
    shuffled = list(made)
    random.shuffle(shuffled)
    assert found(shuffled, what) == found(made, what)


@settings(max_examples=25)
@given(candidates, wanted, st.integers(0, 5), st.floats(0, 3), st.integers(0, 40))
def test_one_that_another_beats_never_changes_the_choice(
    made: list[Candidate], what: Wanted, place: int, ms: float, errors: int
) -> None:
    better = made[place % len(made)]
    loss = better.loss.copy()
    loss[:errors] = 1.0
    worse = replace(
        better, name="z", milliseconds=better.milliseconds + ms, memory_mb=91.0, loss=loss
    )
    with_it, without = found([*made, worse], what), found(made, what)
    if without is None:
        assert with_it is None
    else:
        assert with_it is not None and with_it.chains == without.chains
        assert "z" in with_it.beaten_by


@settings(max_examples=25)
@given(candidates, wanted)
def test_what_is_chosen_keeps_to_memory_deadline_and_the_order_of_cost(
    made: list[Candidate], what: Wanted
) -> None:
    ranking = found(made, what)
    by_name = {one.name: one for one in made}
    for chain in () if ranking is None else ranking.chains:
        rungs = [by_name[name] for name in chain.rungs]
        times = [one.milliseconds for one in rungs]
        assert 2 <= len(rungs) <= 3 and times == sorted(set(times))
        assert 1 <= chain.held <= len(rungs)
        assert chain.memory_mb == sum(one.memory_mb for one in rungs[: chain.held])
        assert times[0] <= chain.mean_ms <= chain.slowest_ms + 1e-9
        assert times[0] <= chain.p99_ms <= chain.slowest_ms + 1e-9
        if chain.meets(what):
            assert what.memory_mb is None or chain.memory_mb <= what.memory_mb
            assert chain.slowest_ms <= what.deadline_ms
            assert chain.highest >= max(what.targets) and chain.chance > 0.5


@settings(max_examples=25)
@given(candidates, wanted)
def test_chains_that_meet_what_is_wanted_come_first(made: list[Candidate], what: Wanted) -> None:
    ranking = found(made, what)
    meets = [] if ranking is None else [chain.meets(what) for chain in ranking.chains]
    assert meets == sorted(meets, reverse=True)


def test_times_are_those_of_the_images_that_come_to_each_rung() -> None:
    chain = next(one for one in ranked(memory_mb=50.0).chains if one.rungs == ("small", "large"))
    low, high = chain.escalated
    assert low <= high and chain.held == 1 and chain.memory_mb == 20.0
    assert chain.slowest_ms == 2.0 + 20.0 + 20.0
    assert chain.mean_ms == pytest.approx(2.0 + (low + high) / 2 * 40.0)
    assert chain.p99_ms == 42.0  # more than one in a hundred goes over the link


def test_a_slow_link_keeps_rungs_at_the_edge_where_memory_allows_it() -> None:
    for memory_mb, held in ((None, 2), (90.0, 1)):
        made = ranked(link_ms=200.0, memory_mb=memory_mb).chains
        chain = next(one for one in made if one.rungs == ("small", "large"))
        assert chain.held == held and (chain.p99_ms < 200) == (held == 2)
        assert made[0].p99_ms < 200


def test_a_target_that_only_the_large_one_reaches_takes_it_in() -> None:
    assert all("large" in one.rungs for one in ranked().chains if one.highest >= 0.94)
    best = rank(ALL, Wanted((0.94,)), CERTIFYING).chains[0]
    assert best.rungs[-1] == "large" and best.meets(Wanted((0.94,)))


def test_a_bound_that_few_images_flatter_is_not_enough() -> None:
    """The cheaper chain may well be certified; the other surely is."""
    cheap, dear = candidate("cheap", 3.0, 30.0, 0.923), candidate("dear", 9.0, 60.0, 0.97)
    made = rank((TINY, cheap, dear), Wanted((0.9,)), CERTIFYING)
    by_rungs = {one.rungs: one for one in made.chains}
    likely = by_rungs["tiny", "cheap"]
    assert likely.meets(Wanted((0.9,))) and 0.5 <= likely.chance < 0.85
    assert likely.objective < made.chains[0].objective
    assert made.chains[0].rungs[-1] == "dear" and made.chains[0].chance > 0.9


def test_more_certifying_images_certify_more() -> None:
    few, many = (rank(ALL, Wanted((0.9,)), Certifying(n, 0.05)) for n in (200, 5000))
    highest = [{one.rungs: one.highest for one in made.chains} for made in (few, many)]
    assert all(highest[0][rungs] < highest[1][rungs] for rungs in highest[0])


def test_losses_between_right_and_wrong_are_ranked_too() -> None:
    soft = [replace(one, loss=one.loss * 0.5) for one in ALL]
    made = rank(soft, Wanted((0.85,)), Certifying(400, 0.05))
    assert made.chains[0].meets(Wanted((0.85,)))


def test_one_that_is_best_in_everything_leaves_no_chain() -> None:
    with pytest.raises(CalibrationError, match="nothing to escalate to"):
        rank((SMALL, replace(SMALL, name="slow", milliseconds=9.0)), Wanted((0.8,)), CERTIFYING)


def test_a_choice_needs_targets_and_has_bounds() -> None:
    with pytest.raises(CalibrationError, match="for targets"):
        rank(ALL, Wanted(()), CERTIFYING)
    many = [replace(SMALL, name=f"m{place}") for place in range(MOST_CANDIDATES + 1)]
    with pytest.raises(CalibrationError, match="more than 16"):
        rank(many, Wanted((0.8,)), CERTIFYING)
