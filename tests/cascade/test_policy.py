"""Targets to thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.calibration import CalibrationScores, shown
from hawkvision.cascade import Accuracy, CascadePolicy, parse_accuracy
from hawkvision.errors import InvalidRequest, TargetUnreachable


@dataclass(frozen=True)
class Sure:
    """A prediction of no particular kind."""

    confidence: float


def scores(n: int = 1000) -> CalibrationScores:
    rng = np.random.default_rng(3)
    confidence = (rng.random(n) ** 0.5).astype(np.float32)
    edge, dc = rng.random(n) < confidence, rng.random(n) < 0.97
    loss = np.stack([~edge, ~dc]).astype(np.float32)
    both = np.stack([confidence, np.full(n, 0.9, np.float32)])
    return CalibrationScores(
        rung_loss=loss[None],
        dc_loss=loss[1:],
        rung_confidence=both[None],
        rung_raw_confidence=both,
        loss_levels=np.zeros(1),
        image_bytes=np.ones(n, np.int32),
        binary=True,
    )


def policy() -> CascadePolicy:
    return CascadePolicy(scores(), 0.8)


def test_a_confidence_at_the_threshold_is_answered_locally() -> None:
    target = policy().resolve(Accuracy(0.9))
    sure = [Sure(target.threshold + shift) for shift in (0.01, 0.0, -0.01)]
    assert [CascadePolicy.answers_locally(one, target) for one in sure] == [True, True, False]


def test_an_unreachable_default_becomes_the_highest_that_is_certified() -> None:
    tested = CascadePolicy(scores(), 0.999)
    assert tested.default.target == shown.floored(tested.highest_certifiable)


def test_a_relative_target_is_echoed_as_it_was_asked() -> None:
    tested = policy()
    wide, narrow = (tested.resolve(Accuracy(epsilon, relative=True)) for epsilon in (0.2, 0.01))
    assert (wide.target, narrow.target) == ("relative:0.2", "relative:0.01")
    assert wide.threshold < narrow.threshold


def test_tiers_hold_at_once_and_cover_the_targets_below_them() -> None:
    single, tiered = policy(), CascadePolicy(scores(), 0.8, tiers=(0.8, 0.9))
    assert tiered.resolve(Accuracy(0.9)).threshold > single.resolve(Accuracy(0.9)).threshold
    assert tiered.resolve(Accuracy(0.85)).threshold == tiered.resolve(Accuracy(0.9)).threshold
    assert tiered.curve.delta == pytest.approx(0.025)
    with pytest.raises(TargetUnreachable, match="highest tier") as caught:
        tiered.resolve(Accuracy(0.92))
    assert caught.value.highest == 0.9


def test_many_targets_do_not_grow_the_cache_without_end() -> None:
    tested = policy()
    for index in range(10_000):
        tested.resolve(Accuracy(0.5 + index * 1e-5))
    assert len(tested._cache) <= 4096


@pytest.mark.parametrize(
    "text",
    ["0", "1", "1.5", "abc", "nan", "inf", "-0.5", "", "relative:", "relative:0", "relative:2"],
)
def test_senseless_accuracies_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_accuracy(text)


@given(st.one_of(st.text(max_size=30), st.floats().map(lambda x: f"relative:{x}")))
def test_any_text_is_an_accuracy_or_a_clear_error(text: str) -> None:
    try:
        accuracy = parse_accuracy(text)
    except InvalidRequest as error:
        assert error.hint
        return
    assert 0 < accuracy.value < 1


@given(st.floats(1e-9, 1 - 1e-9), st.booleans())
def test_the_text_of_an_accuracy_is_that_accuracy(value: float, relative: bool) -> None:
    again = parse_accuracy(str(Accuracy(value, relative)))
    assert again.relative == relative and again.value == pytest.approx(value, rel=1e-11)
