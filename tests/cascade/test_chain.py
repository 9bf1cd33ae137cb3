"""Several rungs in the data center."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.cascade.chain import choose_chain, of_chain


def test_each_rung_answers_what_it_is_sure_of() -> None:
    classes = np.array([[0, 1, 2], [5, 6, 7], [8, 9, 9]], np.int32)
    confidence = np.array([[0.9, 0.2, 0.2], [0.1, 0.9, 0.1], [0.5, 0.5, 0.5]], np.float32)
    assert of_chain(classes, confidence, [0.8, 0.8]).tolist() == [0, 6, 9]


def test_one_rung_is_no_chain() -> None:
    classes = np.array([[3, 1]], np.int32)
    assert of_chain(classes, np.ones((1, 2), np.float32), []).tolist() == [3, 1]
    assert choose_chain(np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)) == []


@given(st.integers(0, 10_000), st.integers(2, 4), st.booleans())
@settings(deadline=None)
def test_the_chosen_chain_is_no_worse_than_its_last_rung(
    seed: int, rungs: int, graded: bool
) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.random((rungs, 200)).astype(np.float32)
    loss = (rng.random((rungs, 200)) >= 0.3 + 0.6 * confidence).astype(np.float32)
    if graded:
        loss *= rng.random((rungs, 200)).astype(np.float32)
    thresholds = choose_chain(loss, confidence)
    assert of_chain(loss, confidence, thresholds).sum() <= loss[-1].sum() + 1e-4
    assert len(thresholds) == rungs - 1
