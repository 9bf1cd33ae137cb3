"""Thresholds by loss level: certified where they can be, and plain about it where not."""

from __future__ import annotations

import numpy as np
import pytest

from hawkvision.calibration import CalibrationScores
from hawkvision.calibration.curve import ESCALATE_ALL
from hawkvision.cascade import Accuracy
from hawkvision.cascade.loss import LossPolicy


@pytest.fixture(scope="module")
def policy() -> LossPolicy:
    """Edge 90, 85, 70 % right and data center 97, 93, 75 % at 0, 10 and 30 % lost."""
    rng = np.random.default_rng(1)
    images, levels = 2000, (0.0, 0.1, 0.3)
    right = np.stack(
        [
            rng.random((2, images)) < pair
            for pair in np.array([[[0.90], [0.97]], [[0.85], [0.93]], [[0.70], [0.75]]])
        ]
    )
    confidence = np.where(
        right, rng.uniform(0.5, 1.0, right.shape), rng.uniform(0.2, 0.9, right.shape)
    )
    loss = (~right).astype(np.float32)
    return LossPolicy(
        CalibrationScores(
            rung_loss=loss,
            dc_loss=loss[:, 1],
            rung_confidence=confidence.astype(np.float32),
            rung_raw_confidence=confidence[0].astype(np.float32),
            loss_levels=np.array(levels),
            image_bytes=np.full(images, 10_000, np.int32),
            binary=True,
        )
    )


def test_more_loss_needs_more_confidence(policy: LossPolicy) -> None:
    found = [policy.decide(Accuracy(0.88), lost, may_resend=False) for lost in (0.0, 0.1)]
    assert [one.certified for one in found] == [True, True]
    assert found[0].target.threshold < found[1].target.threshold
    assert [one.level for one in found] == [0.0, 0.1]


@pytest.mark.parametrize("lost", [0.01, 0.05, 0.1])
def test_a_share_between_levels_takes_the_worse(policy: LossPolicy, lost: float) -> None:
    assert policy.decide(Accuracy(0.88), lost, may_resend=False).level == 0.1


def test_beyond_what_the_level_certifies_all_escalates_and_nothing_is_promised(
    policy: LossPolicy,
) -> None:
    found = policy.decide(Accuracy(0.9), 0.25, may_resend=False)
    assert found.target.threshold == ESCALATE_ALL
    assert (found.level, found.certified, found.resend) == (0.3, False, False)


def test_a_sender_that_can_send_again_keeps_the_promise(policy: LossPolicy) -> None:
    found = policy.decide(Accuracy(0.9), 0.25, may_resend=True)
    assert found.certified and found.resend and found.target.threshold < 1


def test_beyond_the_last_level_nothing_is_certified(policy: LossPolicy) -> None:
    found = policy.decide(Accuracy(0.5), 0.31, may_resend=True)
    assert (found.level, found.certified, found.resend) == (None, False, True)


def test_what_is_prepared_is_not_computed_again(
    policy: LossPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames find their thresholds ready: nothing is computed while they wait."""
    relative = Accuracy(0.04, relative=True)
    policy.prepare(relative, may_resend=True)
    monkeypatch.setattr(LossPolicy, "_policy", None)
    for lost in (0.0, 0.05, 0.1, 0.2, 0.3):
        assert policy.decide(relative, lost, may_resend=True).certified


def test_relative_targets_have_levels_too(policy: LossPolicy) -> None:
    found = policy.decide(Accuracy(0.03, relative=True), 0.1, may_resend=False)
    assert found.certified and found.target.target == "relative:0.03"
