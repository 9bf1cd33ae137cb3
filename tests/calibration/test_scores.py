"""Held-out scores: kept whole on disk, any number of classes, thresholds for each loss level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hawkvision.calibration import CalibrationScores, fit_temperature
from hawkvision.cascade import CascadePolicy, RelativeAccuracy, softmax
from hawkvision.errors import CalibrationError, RepositoryError
from tests.models import two_rung_scores


def drawn(classes: int, n: int = 1500, seed: int = 0) -> CalibrationScores:
    """Two rungs of different skill over any number of classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n).astype(np.int32)
    probabilities = []
    for skill in (0.55 + 0.1 * np.log2(classes), 1.1 + 0.2 * np.log2(classes)):
        logits = rng.standard_normal((n, classes), np.float32)
        logits[np.arange(n), labels] += 2.2 * skill
        probabilities.append(softmax(logits, fit_temperature(logits[:200], labels[:200])))
    return two_rung_scores(labels, probabilities)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_any_number_of_classes_is_certified(classes: int) -> None:
    scores = drawn(classes)
    edge, dc = scores.edge_correct[0].mean(), scores.dc_correct[0].mean()
    policy = CascadePolicy(scores, 0.5)
    target = (edge + policy.highest_certifiable) / 2
    found = policy.resolve(float(target))
    assert edge < target < dc
    assert 0 < found.expected_escalation_rate < 1
    assert 0 < policy.resolve(RelativeAccuracy(0.03)).expected_escalation_rate < 1


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    scores = drawn(10, 200)
    scores.save(tmp_path / "calibration.npz")
    again = CalibrationScores.load(tmp_path / "calibration.npz")
    assert (again.confidence == scores.confidence).all()
    assert (again.curve().lower_bound == scores.curve().lower_bound).all()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "calibration.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(RepositoryError, match=r"calibration\.npz"):
        CalibrationScores.load(tmp_path / "calibration.npz")


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(CalibrationError, match="image_bytes"):
        replace(drawn(3, 100), image_bytes=np.zeros(99, np.int32))
    with pytest.raises(CalibrationError, match="rise from 0"):
        replace(drawn(3, 100), loss_levels=np.array([0.1]))


def test_a_damaged_image_needs_a_higher_threshold_and_a_resend_helps() -> None:
    clean = drawn(10, 2000)
    blurred = clean.rung_class.copy()
    rng = np.random.default_rng(1)
    wrong = rng.random(blurred.shape) < 0.06
    blurred[wrong] = (blurred[wrong] + 1) % 10
    scores = replace(
        clean,
        rung_class=np.concatenate([clean.rung_class, blurred]),
        rung_confidence=np.repeat(clean.rung_confidence, 2, axis=0),
        dc_class=np.concatenate([clean.dc_class, blurred[:, 1]]),
        loss_levels=np.array([0.0, 0.1]),
    )
    whole = scores.curve()
    as_it_came, resent = scores.curve(level=1), scores.curve(level=1, intact_resend=True)
    assert as_it_came.highest_certifiable < resent.highest_certifiable
    target = float(scores.edge_correct[0].mean()) + 0.01
    assert whole.threshold_for(target) < resent.threshold_for(target)


def test_the_level_of_a_frame_covers_what_it_lost() -> None:
    scores = replace(
        drawn(3, 100),
        rung_class=np.repeat(drawn(3, 100).rung_class, 3, axis=0),
        rung_confidence=np.repeat(drawn(3, 100).rung_confidence, 3, axis=0),
        dc_class=np.repeat(drawn(3, 100).dc_class, 3, axis=0),
        loss_levels=np.array([0.0, 0.05, 0.2]),
    )
    levels = [scores.level_for(lost) for lost in (0.0, 0.01, 0.05, 0.06, 0.2, 0.21)]
    assert levels == [0, 1, 1, 2, 2, None]
