"""Targets to thresholds, logits to answers."""

from __future__ import annotations

import numpy as np
import pytest

from hawkvision.calibration import lower_confidence_curve
from hawkvision.cascade import CascadePolicy, parse_accuracy, predict
from hawkvision.errors import InvalidRequest, TargetUnreachable


def policy() -> CascadePolicy:
    rng = np.random.default_rng(3)
    confidence = rng.random(1000) ** 0.5
    edge, dc = rng.random(1000) < confidence, rng.random(1000) < 0.97
    return CascadePolicy(lower_confidence_curve(confidence, edge, dc), 0.8)


def test_a_confidence_at_the_threshold_is_answered_locally() -> None:
    target = policy().resolve(0.9)
    logit = np.log(target.threshold / (1 - target.threshold))
    above = predict(np.array([logit + 0.01, 0], np.float32), 1.0)
    below = predict(np.array([logit - 0.01, 0], np.float32), 1.0)
    answers = [CascadePolicy.answers_locally(p, target) for p in (above, below)]
    assert answers == [True, False]


def test_an_unreachable_default_is_refused_at_once() -> None:
    with pytest.raises(TargetUnreachable):
        CascadePolicy(policy().curve, 0.999)


def test_many_targets_do_not_grow_the_cache_without_end() -> None:
    tested = policy()
    for index in range(10_000):
        tested.resolve(0.5 + index * 1e-5)
    assert len(tested._cache) <= 4096


@pytest.mark.parametrize("text", ["0", "1", "1.5", "abc", "nan", "inf", "-0.5", ""])
def test_senseless_accuracies_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_accuracy(text)


def test_the_top_classes_come_best_first() -> None:
    answer = predict(np.array([0.0, 3.0, 1.0, 2.0], np.float32), 1.0)
    assert [index for index, _ in answer.top(3)] == [1, 3, 2]
    assert answer.top(1) == [(1, answer.confidence)]
    assert len(answer.top(50)) == 4
