"""Targets to thresholds, logits to answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.calibration import CalibrationScores
from hawkvision.cascade import CascadePolicy, RelativeAccuracy, parse_accuracy, predict
from hawkvision.errors import InvalidRequest, TargetUnreachable


def scores(n: int = 1000) -> CalibrationScores:
    rng = np.random.default_rng(3)
    confidence = (rng.random(n) ** 0.5).astype(np.float32)
    edge, dc = rng.random(n) < confidence, rng.random(n) < 0.97
    classes = np.stack([~edge, ~dc]).astype(np.int32)
    both = np.stack([confidence, np.full(n, 0.9, np.float32)])
    return CalibrationScores(
        label=np.zeros(n, np.int32),
        rung_class=classes[None],
        rung_confidence=both[None],
        rung_raw_confidence=both,
        dc_class=classes[1:],
        loss_levels=np.zeros(1),
        image_bytes=np.ones(n, np.int32),
    )


def policy() -> CascadePolicy:
    return CascadePolicy(scores(), 0.8)


def test_a_confidence_at_the_threshold_is_answered_locally() -> None:
    target = policy().resolve(0.9)
    logit = np.log(target.threshold / (1 - target.threshold))
    above = predict(np.array([logit + 0.01, 0], np.float32), 1.0)
    below = predict(np.array([logit - 0.01, 0], np.float32), 1.0)
    answers = [CascadePolicy.answers_locally(p, target) for p in (above, below)]
    assert answers == [True, False]


def test_an_unreachable_default_becomes_the_highest_that_is_certified() -> None:
    tested = CascadePolicy(scores(), 0.999)
    assert tested.default.target == tested.highest_certifiable


def test_a_relative_target_is_echoed_as_it_was_asked() -> None:
    tested = policy()
    wide, narrow = (tested.resolve(RelativeAccuracy(epsilon)) for epsilon in (0.2, 0.01))
    assert (wide.target, narrow.target) == ("relative:0.2", "relative:0.01")
    assert wide.threshold < narrow.threshold


def test_tiers_hold_at_once_and_cover_the_targets_below_them() -> None:
    single, tiered = policy(), CascadePolicy(scores(), 0.8, tiers=(0.8, 0.9))
    assert tiered.resolve(0.9).threshold > single.resolve(0.9).threshold
    assert tiered.resolve(0.85).threshold == tiered.resolve(0.9).threshold
    assert tiered.curve.delta == pytest.approx(0.025)
    with pytest.raises(TargetUnreachable, match="highest tier") as caught:
        tiered.resolve(0.92)
    assert caught.value.highest == 0.9


def test_many_targets_do_not_grow_the_cache_without_end() -> None:
    tested = policy()
    for index in range(10_000):
        tested.resolve(0.5 + index * 1e-5)
    assert len(tested._cache) <= 4096


@pytest.mark.parametrize(
    "text",
    ["0", "1", "1.5", "abc", "nan", "inf", "-0.5", "", "relative:", "relative:0", "relative:2"],
)
def test_senseless_accuracies_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_accuracy(text)


def test_the_top_classes_come_best_first() -> None:
    answer = predict(np.array([0.0, 3.0, 1.0, 2.0], np.float32), 1.0)
    assert [index for index, _ in answer.top(3)] == [1, 3, 2]
    assert answer.top(1) == [(1, answer.confidence)]
    assert len(answer.top(50)) == 4


@given(st.one_of(st.text(max_size=30), st.floats().map(lambda x: f"relative:{x}")))
def test_any_text_is_an_accuracy_or_a_clear_error(text: str) -> None:
    try:
        accuracy = parse_accuracy(text)
    except InvalidRequest as error:
        assert error.hint
        return
    value = accuracy.epsilon if isinstance(accuracy, RelativeAccuracy) else accuracy
    assert 0 < value < 1
