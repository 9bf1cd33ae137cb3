"""The rungs above the first, and what they answer together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkvision.calibration import CalibrationScores
from hawkvision.cascade import Accuracy, AccuracyTarget, CascadePolicy
from hawkvision.cascade.chain import choose_chain, of_chain, reached, stand_ins, with_chain
from hawkvision.cascade.other_chains import OtherChains
from tests.models import scores_of


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


THRESHOLDS = (0.0, 0.9, 0.0)


def three_rungs(seed: int, *, last: float = 0.99, images: int = 1500) -> CalibrationScores:
    """Rungs that are right on 80 %, 90 % and `last`, and know about where."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, images).astype(np.int32)
    probabilities = []
    for skill in (0.8, 0.9, last):
        sure = rng.uniform(2 * skill - 1, 1, images)
        said = np.where(rng.random(images) < sure, labels, (labels + 1) % 4)
        rows = np.repeat(((1 - sure) / 3)[:, None], 4, axis=1).astype(np.float32)
        rows[np.arange(images), said] = sure
        probabilities.append(rows)
    return scores_of(labels, probabilities, (THRESHOLDS[1],))


def test_the_whole_chain_is_what_was_calibrated() -> None:
    scores = three_rungs(1)
    again = with_chain(scores, (1, 2), THRESHOLDS)
    np.testing.assert_array_equal(again.dc_loss, scores.dc_loss)
    assert again.items is not None and scores.items is not None
    np.testing.assert_array_equal(again.items.dc_class, scores.items.dc_class)


def test_without_the_middle_rung_the_last_one_answers() -> None:
    scores = three_rungs(2)
    without = with_chain(scores, (2,), THRESHOLDS)
    np.testing.assert_array_equal(without.dc_loss, scores.rung_loss[:, 2])


def test_ever_fewer_images_reach_the_next_rung() -> None:
    scores = three_rungs(3)
    first, second, third = reached(scores, 0.9, THRESHOLDS)
    assert first == 1.0
    assert second == np.mean(scores.confidence < 0.9)
    unsure = (scores.confidence < 0.9) & (scores.rung_confidence[0, 1] < 0.9)
    assert 0 < third == np.mean(unsure) < second


def test_another_chain_certifies_what_its_own_answers_certify() -> None:
    scores = three_rungs(4)
    others = OtherChains(scores, THRESHOLDS)
    alone = CascadePolicy(with_chain(scores, (2,), THRESHOLDS), 0.5)
    for accuracy in (Accuracy(0.9), Accuracy(0.95), Accuracy(0.02, relative=True)):
        needed = alone.resolve(accuracy).threshold
        assert others.certifies(1, 2, AccuracyTarget(accuracy, needed, 0.0))
        assert others.certifies(1, 2, AccuracyTarget(accuracy, 1.01, 0.0))
        assert not others.certifies(1, 2, AccuracyTarget(accuracy, needed - 0.01, 0.0))


def test_a_worse_last_rung_alone_certifies_less() -> None:
    scores = three_rungs(5, last=0.85)
    policy = CascadePolicy(scores, 0.5)
    others = OtherChains(scores, THRESHOLDS)
    highest = policy.resolve(Accuracy(round(policy.highest_certifiable - 0.005, 3)))
    assert not others.certifies(1, 2, highest)
    assert not others.certifies(1, 1, highest) and not others.certifies(0, 2, highest)


def test_a_middle_rung_of_another_flavour_brings_its_own_answers() -> None:
    ours, theirs = three_rungs(6), three_rungs(6, last=0.95)
    mixed = with_chain(ours.below(theirs, 2), (1, 2), THRESHOLDS)
    np.testing.assert_array_equal(mixed.rung_loss[:, :2], ours.rung_loss[:, :2])
    np.testing.assert_array_equal(mixed.rung_loss[:, 2], theirs.rung_loss[:, 2])
    expected = of_chain(mixed.rung_loss[:, 1:], mixed.rung_confidence[:, 1:], [0.9])
    np.testing.assert_array_equal(mixed.dc_loss, expected)


def test_a_rung_stands_in_where_it_errs_less_on_what_is_handed_on() -> None:
    good, bad = three_rungs(7, images=4000), three_rungs(7, last=0.6, images=4000)
    assert stand_ins(good, 0.9) == [False, True, True]
    assert stand_ins(bad, 1.01) == [False, True, False]
    assert stand_ins(good, 0.0) == [False, True, True]
