"""Held-out scores: kept whole on disk, any number of classes, thresholds for each loss level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hawkvision.calibration import CalibrationScores, Items
from hawkvision.cascade import Accuracy, CascadePolicy
from hawkvision.errors import CalibrationError, RepositoryError
from hawkvision.tasks.classification import Classification, fit_temperature, softmax
from tests.models import scores_of


def drawn(classes: int, n: int = 1500, seed: int = 0) -> CalibrationScores:
    """Two rungs of different skill over any number of classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n).astype(np.int32)
    probabilities = []
    for skill in (0.55 + 0.1 * np.log2(classes), 1.1 + 0.2 * np.log2(classes)):
        logits = rng.standard_normal((n, classes), np.float32)
        logits[np.arange(n), labels] += 2.2 * skill
        probabilities.append(softmax(logits, fit_temperature(logits[:200], labels[:200])))
    return scores_of(labels, probabilities)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_any_number_of_classes_is_certified(classes: int) -> None:
    scores = drawn(classes)
    edge, dc = scores.edge_accuracy(), scores.dc_accuracy()
    policy = CascadePolicy(scores, 0.5)
    target = (edge + policy.highest_certifiable) / 2
    found = policy.resolve(Accuracy(target))
    assert edge < target < dc
    assert 0 < found.expected_escalation_rate < 1
    assert 0 < policy.resolve(Accuracy(0.03, relative=True)).expected_escalation_rate < 1


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    scores = drawn(10, 200)
    scores.save(tmp_path / "calibration.npz")
    kind = Classification([str(index) for index in range(10)])
    again = CalibrationScores.load(
        tmp_path / "calibration.npz", binary=True, losses_of=kind.losses_of
    )
    assert (again.confidence == scores.confidence).all()
    assert (again.curve().lower_bound == scores.curve().lower_bound).all()


def test_graded_losses_are_kept_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    loss = rng.random((1, 2, 300)).astype(np.float32)
    confidence = rng.random((1, 2, 300)).astype(np.float32)
    scores = CalibrationScores(
        rung_loss=loss,
        dc_loss=loss[:, 1],
        rung_confidence=confidence,
        rung_raw_confidence=confidence[0],
        loss_levels=np.zeros(1),
        image_bytes=np.ones(300, np.int32),
        binary=False,
    )
    scores.save(tmp_path / "calibration.npz")
    again = CalibrationScores.load(tmp_path / "calibration.npz", binary=False)
    assert (again.rung_loss == loss).all() and again.items is None
    assert (again.curve().lower_bound == scores.curve().lower_bound).all()


def test_items_of_other_images_are_refused() -> None:
    scores = drawn(3, 100)
    assert scores.items is not None
    fewer = Items(scores.items.label[1:], scores.items.rung_class, scores.items.dc_class)
    with pytest.raises(CalibrationError, match="items"):
        replace(scores, items=fewer)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "calibration.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(RepositoryError, match=r"calibration\.npz"):
        CalibrationScores.load(tmp_path / "calibration.npz", binary=True)


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(CalibrationError, match="image_bytes"):
        replace(drawn(3, 100), image_bytes=np.zeros(99, np.int32))
    with pytest.raises(CalibrationError, match="rise from 0"):
        replace(drawn(3, 100), loss_levels=np.array([0.1]))


def test_a_damaged_image_needs_a_higher_threshold_and_a_resend_helps() -> None:
    clean = drawn(10, 2000)
    rng = np.random.default_rng(1)
    blurred = np.maximum(clean.rung_loss, rng.random(clean.rung_loss.shape) < 0.06)
    scores = replace(
        clean,
        rung_loss=np.concatenate([clean.rung_loss, blurred]).astype(np.float32),
        rung_confidence=np.repeat(clean.rung_confidence, 2, axis=0),
        dc_loss=np.concatenate([clean.dc_loss, blurred[:, 1]]).astype(np.float32),
        loss_levels=np.array([0.0, 0.1]),
        items=None,
    )
    whole = scores.curve()
    as_it_came, resent = scores.curve(level=1), scores.curve(level=1, intact_resend=True)
    assert as_it_came.highest_certifiable < resent.highest_certifiable
    target = scores.edge_accuracy() + 0.01
    assert whole.threshold_for(target) < resent.threshold_for(target)


def test_the_level_of_a_frame_covers_what_it_lost() -> None:
    scores = replace(
        drawn(3, 100),
        rung_loss=np.repeat(drawn(3, 100).rung_loss, 3, axis=0),
        rung_confidence=np.repeat(drawn(3, 100).rung_confidence, 3, axis=0),
        dc_loss=np.repeat(drawn(3, 100).dc_loss, 3, axis=0),
        loss_levels=np.array([0.0, 0.05, 0.2]),
        items=None,
    )
    levels = [scores.level_for(lost) for lost in (0.0, 0.01, 0.05, 0.06, 0.2, 0.21)]
    assert levels == [0, 1, 1, 2, 2, None]
