"""Which rung sees which image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.cascade.chain import reached
from hawkvision.planning.asked import parse_mix
from hawkvision.planning.traffic import chain_of, targets_of
from hawkvision.repository import Repository, shipped_repository
from tests.planning.made import scores

_thresholds = st.lists(st.floats(0, 1.01), min_size=1, max_size=4)


@given(_thresholds, st.integers(1, 5), st.integers(0, 50))
def test_every_doubtful_image_is_answered_once(middle: list[float], held: int, seed: int) -> None:
    rungs = len(middle) + 1
    held = min(held, rungs)
    found = scores(rungs, 50, seed)
    thresholds = [0.0, *middle[1:], 0.0]
    chain = chain_of(found, thresholds, held)
    assert chain.rungs == rungs
    # Jobs go from rung to rung: who is at the gateway's next one was at the one before.
    there = chain.there[held - 1 :]
    assert all((later <= before).all() for before, later in pairwise(there))
    if held < rungs:
        assert (chain.up == there[0]).all()
    else:
        assert not chain.up.any()
    assert not chain.there[: held - 1].any()
    # Whoever does not go up is sure of a rung here, or at the last one.
    stays = ~chain.up
    if held < rungs and held > 1:
        sure = [found.rung_confidence[0, place] >= thresholds[place] for place in range(1, held)]
        assert (stays == np.any(sure, axis=0)).all()


@given(_thresholds, st.integers(0, 50))
def test_shares_are_those_of_the_cascade(middle: list[float], seed: int) -> None:
    found = scores(len(middle) + 1, 60, seed)
    thresholds = [0.0, *middle[1:], 0.0]
    chain = chain_of(found, thresholds, 1)
    doubtful = found.confidence < 0.4
    shares = [1.0, *((doubtful & row).mean() for row in chain.there)]
    assert shares == pytest.approx(reached(found, 0.4, thresholds))


def test_an_agent_leaves_out_a_rung_that_is_never_sure() -> None:
    found = scores(3)
    chain = chain_of(found, [0.0, 1.01, 0.0], 2)
    assert not chain.here.any() and chain.up.all()
    assert chain_of(found, [0.0, 1.01, 0.0], 1).there[0].all()


def test_targets_are_the_task_s_own() -> None:
    task = Repository(shipped_repository()).open("roadsigns")
    low, high = targets_of(task, task.scores(), parse_mix("0.80:3,0.95:1"), 0.05)
    assert (low.share, high.share) == (0.75, 0.25)
    assert low.threshold < high.threshold and (low.doubtful <= high.doubtful).all()
    assert 0.80 <= low.expected < high.expected and high.expected >= 0.95
    assert high.degraded > 0
